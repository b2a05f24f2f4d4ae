//! Mounts: options in the words of mount(8) to attributes, propagation and file-system options.

use std::{ffi::CString, path::Path};

use oci_spec::runtime::Mount;

use super::{absolute, c_string, cgroups, users};
use crate::{
    Error, Result,
    cgroup::Cgroup,
    plan::{Mapping, MountStep, Propagation, Setting, Source},
};

/// Options that are attributes of a mount: name, bits set, bits cleared.
const ATTRIBUTES: [(&str, u64, u64); 14] = [
    ("ro", libc::MOUNT_ATTR_RDONLY, 0),
    ("rw", 0, libc::MOUNT_ATTR_RDONLY),
    ("nosuid", libc::MOUNT_ATTR_NOSUID, 0),
    ("suid", 0, libc::MOUNT_ATTR_NOSUID),
    ("nodev", libc::MOUNT_ATTR_NODEV, 0),
    ("dev", 0, libc::MOUNT_ATTR_NODEV),
    ("noexec", libc::MOUNT_ATTR_NOEXEC, 0),
    ("exec", 0, libc::MOUNT_ATTR_NOEXEC),
    ("nodiratime", libc::MOUNT_ATTR_NODIRATIME, 0),
    ("nosymfollow", libc::MOUNT_ATTR_NOSYMFOLLOW, 0),
    // Access times are one field of several values rather than bits, which a change has to clear first.
    ("relatime", libc::MOUNT_ATTR_RELATIME, libc::MOUNT_ATTR__ATIME),
    ("noatime", libc::MOUNT_ATTR_NOATIME, libc::MOUNT_ATTR__ATIME),
    ("strictatime", libc::MOUNT_ATTR_STRICTATIME, libc::MOUNT_ATTR__ATIME),
    ("defaults", 0, 0),
];

/// Whether one of `mounts` is a new file system on `/dev`, which then gets the usual content.
pub(super) fn has_fresh_dev(mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| mount.destination() == Path::new("/dev") && mount.typ().as_deref() == Some("tmpfs"))
}

/// The steps for `mounts`, in order, for a container that has the ids of `users`.
pub(super) fn steps(
    mounts: &[Mount],
    own_cgroup_namespace: bool,
    cgroup: Option<&Cgroup>,
    users: Option<&Mapping>,
) -> Result<Vec<MountStep>> {
    let mut steps = Vec::with_capacity(mounts.len());
    for mount in mounts {
        if cgroups::is_view(mount) {
            cgroups::steps(mount, own_cgroup_namespace, cgroup, &mut steps)?;
        } else {
            steps.push(step_for(mount, users)?);
        }
    }
    Ok(steps)
}

/// The places of views of cgroups that are to be read-only when all of them is there.
pub(super) fn read_only_cgroups(mounts: &[Mount]) -> Result<Vec<CString>> {
    let read_only = |mount: &&Mount| mount.options().iter().flatten().any(|option| option == "ro");
    let views = mounts.iter().filter(|mount| cgroups::is_view(mount)).filter(read_only);
    views.map(|mount| absolute("mounts.destination", mount.destination())).collect()
}

/// What a mount's options ask for.
#[derive(Debug, Default)]
struct Options {
    set: u64,
    clear: u64,
    recursive: bool,
    bind: bool,
    recursive_bind: bool,
    propagation: Option<Propagation>,
    copy_up: bool,
    /// `idmap` or `ridmap`.
    mapping: Option<String>,
    /// For the file system.
    data: Vec<Setting>,
}

pub(super) fn step(mount: &Mount) -> Result<MountStep> {
    step_for(mount, None)
}

fn step_for(mount: &Mount, users: Option<&Mapping>) -> Result<MountStep> {
    let what = format!("the mount on {}", mount.destination().display());
    let target = absolute("mounts.destination", mount.destination())?;
    let options = options(mount, &what)?;
    let mapping = users::of_mount(mount, options.mapping.as_deref(), users, &what)?;
    let fstype = mount.typ().as_deref().unwrap_or_default();
    let bind = options.bind || fstype == "bind";
    if !bind && (fstype.is_empty() || fstype == "none") {
        return Err(Error::invalid(what, "it has neither a type nor the option bind"));
    }
    let source = mount.source().as_deref();
    let Options { set, clear, recursive, data, propagation, copy_up, .. } = options;
    if copy_up && fstype != "tmpfs" {
        return Err(Error::invalid(what, "the option tmpcopyup is for a tmpfs"));
    }
    if !bind && mapping.is_some() {
        return Err(Error::invalid(what, "only bind mounts can have mappings of ids"));
    }
    if !bind {
        let name = source.map_or(fstype.as_bytes(), |source| source.as_os_str().as_encoded_bytes());
        let new =
            Source::New { fstype: c_string(&what, fstype.as_bytes())?, name: c_string(&what, name)?, options: data };
        return Ok(MountStep { target, source: new, set, clear, recursive, propagation, copy_up, mapping });
    }
    if let Some(option) = data.first() {
        return Err(Error::invalid(what, format!("the option {:?} means nothing for a bind mount", option.key)));
    }
    let source = source.ok_or_else(|| Error::invalid(what.as_str(), "it has no source"))?;
    let source = source.canonicalize().map_err(|error| {
        Error::invalid(what.as_str(), format!("the source {} cannot be used: {error}", source.display()))
    })?;
    let path = absolute("mounts.source", &source)?;
    Ok(MountStep {
        target,
        source: Source::Bind { path, recursive: options.recursive_bind },
        set,
        clear: clear & !set | clear & libc::MOUNT_ATTR__ATIME,
        recursive,
        propagation,
        copy_up: false,
        mapping,
    })
}

fn options(mount: &Mount, what: &str) -> Result<Options> {
    let mut parsed = Options::default();
    for option in mount.options().iter().flatten() {
        if apply_attribute(&mut parsed, option) {
            continue;
        }
        if let Some(propagation) = propagation(option) {
            parsed.propagation = Some(propagation);
            continue;
        }
        match option.as_str() {
            "bind" => parsed.bind = true,
            "rbind" => (parsed.bind, parsed.recursive_bind) = (true, true),
            "tmpcopyup" => parsed.copy_up = true,
            "idmap" | "ridmap" => parsed.mapping = Some(option.clone()),
            "remount" => {
                return Err(Error::Unsupported { what: format!("the option {option} of {what}"), remedy: "" });
            }
            data => parsed.data.push(setting(what, data)?),
        }
    }
    Ok(parsed)
}

/// The propagation that `option` names, see mount_namespaces(7).
fn propagation(option: &str) -> Option<Propagation> {
    let (flags, recursive) = match option {
        "private" | "rprivate" => (libc::MS_PRIVATE, option.starts_with('r')),
        "shared" | "rshared" => (libc::MS_SHARED, option.starts_with('r')),
        "slave" | "rslave" => (libc::MS_SLAVE, option.starts_with('r')),
        "unbindable" | "runbindable" => (libc::MS_UNBINDABLE, option.starts_with('r')),
        _ => return None,
    };
    Some(Propagation { flags, recursive })
}

/// Takes `option` in if it is an attribute; with an `r` before it, it is for all mounts below as well.
fn apply_attribute(parsed: &mut Options, option: &str) -> bool {
    let find = |name: &str| ATTRIBUTES.iter().find(|(known, _, _)| *known == name);
    let recursive = || option.strip_prefix('r').and_then(find).filter(|(name, _, _)| *name != "defaults");
    let (found, all_below) = match (find(option), recursive()) {
        (Some(found), _) => (found, false),
        (None, Some(found)) => (found, true),
        (None, None) => return false,
    };
    let (_, set, clear) = found;
    parsed.set = parsed.set & !clear | set;
    parsed.clear = parsed.clear & !set | clear;
    parsed.recursive |= all_below;
    true
}

fn setting(what: &str, option: &str) -> Result<Setting> {
    let (key, value) = match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    };
    let value = value.map(|value| c_string(what, value.as_bytes())).transpose()?;
    Ok(Setting { key: c_string(what, key.as_bytes())?, value })
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::MountBuilder;

    use super::*;

    fn mount(kind: &str, source: &str, options: &[&str]) -> Result<MountStep> {
        let options: Vec<String> = options.iter().map(|&o| o.to_owned()).collect();
        let builder = MountBuilder::default().destination("/x").typ(kind).source(source).options(options);
        step(&builder.build().unwrap())
    }

    #[test]
    fn options_become_attributes_and_settings() {
        let step = mount("tmpfs", "shm", &["nosuid", "ro", "rw", "mode=1777", "huge"]).unwrap();
        assert_eq!(step.set, libc::MOUNT_ATTR_NOSUID);
        let Source::New { options, name, .. } = step.source else { panic!() };
        assert_eq!(name.as_c_str(), c"shm");
        assert_eq!(options[0], Setting { key: c"mode".into(), value: Some(c"1777".into()) });
        assert_eq!(options[1], Setting { key: c"huge".into(), value: None });
    }

    #[test]
    fn binds_are_recursive_if_asked() {
        let step = mount("bind", "/tmp", &["rbind", "rro"]).unwrap();
        assert_eq!(step.source, Source::Bind { path: c"/tmp".into(), recursive: true });
        assert_eq!((step.set, step.recursive), (libc::MOUNT_ATTR_RDONLY, true));
        let step = mount("bind", "/tmp", &["bind", "noatime"]).unwrap();
        assert_eq!((step.set, step.clear), (libc::MOUNT_ATTR_NOATIME, libc::MOUNT_ATTR__ATIME));
        assert!(!step.recursive);
        let step = mount("bind", "/tmp", &["rbind", "rslave"]).unwrap();
        assert_eq!(step.propagation, Some(Propagation { flags: libc::MS_SLAVE, recursive: true }));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for (kind, options) in
            [("bind", ["size=1"].as_slice()), ("bind", &["tmpcopyup"]), ("bind", &["idmap"]), ("none", &[]), ("", &[])]
        {
            assert!(mount(kind, "/tmp", options).is_err(), "{kind} {options:?}");
        }
        assert!(mount("bind", "/does/not/exist", &[]).is_err());
    }
}
