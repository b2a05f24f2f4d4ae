//! The files by which commands find other machines.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use harness_network::{Dns, host_resolv_conf, resolv_conf};
use harness_runtime::config::Bind;

use super::{BuildRequest, network::Place};
use crate::{Error, Result, builtin, context::Jail};

/// What commands see the machine called, as with BuildKit.
pub const HOSTNAME: &str = "buildkitsandbox";

const HOSTS: &str = "/etc/hosts";
const RESOLVER: &str = "/etc/resolv.conf";

/// The name of the machine in a build.
pub fn hostname(request: &BuildRequest) -> &str {
    request.build_args.get(builtin::HOSTNAME).map_or(HOSTNAME, String::as_str)
}

/// Which of these files a command has of its own, and what is in them. Without a network and without hosts to know, it
/// has those of the image: a layer must not get a trace of what was mounted where nothing needed to be.
pub fn files(request: &BuildRequest, place: &Place) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    if *place != Place::Alone || !request.hosts.is_empty() {
        let mut text =
            format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", hostname(request));
        let gateway = place.gateway();
        let addressed = request.hosts.iter().filter_map(|host| Some((host.address.or(gateway)?, &host.name)));
        text.extend(addressed.map(|(address, name)| format!("{address}\t{name}\n")));
        files.push((HOSTS.into(), text));
    }
    match place {
        Place::Alone => {}
        // What the machine's loopback has is the command's, too.
        Place::Host => match fs::read_to_string(RESOLVER) {
            Ok(text) => files.push((RESOLVER.into(), text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", RESOLVER)(error)),
        },
        Place::Bridge(_) => {
            let own = host_resolv_conf().map_err(Error::Network)?;
            files.push((RESOLVER.into(), resolv_conf(&own, &Dns::default())));
        }
    }
    Ok(files)
}

/// Writes the files below `dir` and tells how they are bound. Where a link of the image leads nowhere, or a mount of the
/// command is in the way, there is none.
pub fn lay(files: &[(PathBuf, String)], dir: &Path, root: &Path, mounts: &[Bind]) -> Result<Vec<Bind>> {
    let jail = Jail::open(root).map_err(Error::io("open", root))?;
    let mut binds = Vec::new();
    for (target, text) in files {
        if mounts.iter().any(|mount| target.starts_with(&mount.target)) || !can_be_bound(&jail, target) {
            continue;
        }
        let source = dir.join(target.file_name().unwrap_or_default());
        fs::write(&source, text).map_err(Error::io("write", &source))?;
        binds.push(Bind { read_only: true, ..Bind::new(source, target.clone()) });
    }
    Ok(binds)
}

fn can_be_bound(image: &Jail, target: &Path) -> bool {
    if let Ok(found) = image.resolve(target) {
        return found.is_file();
    }
    let mut there = image.root().to_owned();
    target.iter().skip(1).all(|name| {
        there.push(name);
        !fs::symlink_metadata(&there).is_ok_and(|found| found.is_symlink())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use harness_network::parse_add_host;

    use super::*;

    #[test]
    fn only_what_a_command_needs() {
        let mut request = BuildRequest::default();
        assert_eq!(files(&request, &Place::Alone).unwrap(), []);
        request.hosts = ["db:10.0.0.7", "me:host-gateway"].map(|text| parse_add_host(text).unwrap()).into();
        let found = files(&request, &Place::Alone).unwrap();
        assert_eq!(found.len(), 1);
        assert!(files(&request, &Place::Host).unwrap()[0].1.contains("127.0.0.1\tme\n"));
        assert!(found[0].1.contains("localhost buildkitsandbox\n") && found[0].1.ends_with("10.0.0.7\tdb\n"));
        request.build_args.insert(builtin::HOSTNAME.to_owned(), "other".to_owned());
        assert!(files(&request, &Place::Host).unwrap()[0].1.contains("localhost other\n"));
    }

    #[test]
    fn links_that_lead_nowhere_are_left_alone() {
        let (dir, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let all = [(PathBuf::from(HOSTS), "h".to_owned()), (PathBuf::from(RESOLVER), "r".to_owned())];
        let bound = |mounts: &[Bind]| lay(&all, dir.path(), root.path(), mounts).unwrap().len();
        assert_eq!(bound(&[]), 2);
        fs::create_dir(root.path().join("etc")).unwrap();
        symlink("../run/nowhere", root.path().join("etc/resolv.conf")).unwrap();
        fs::write(root.path().join("etc/hosts"), "").unwrap();
        assert_eq!(bound(&[]), 1);
        let own = Bind { read_only: true, ..Bind::new("/x", "/etc") };
        assert_eq!(bound(&[own]), 0);
    }
}
