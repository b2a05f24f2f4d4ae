//! What a probe found, kept until the machine is started anew: probing takes as long as a short container does.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use serde::{Deserialize, Serialize};
use storage_driver::{Error, Result};
use storage_root::{Durability, write_atomically};
use storage_sys::{boot, mountinfo, userns};

use crate::{
    Options,
    probe::{Kernel, probe},
};

const FILE: &str = "probed.json";

/// What was found, and all that it depends on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Probed {
    /// This program's version: another one may probe more.
    version: String,
    /// Of the running kernel, see random(4).
    boot: String,
    /// The file system, and how it is mounted.
    device: u64,
    mount: String,
    /// Whether marks go to `user.overlay.*`, and who mounts.
    user_namespace: bool,
    user: u32,
    /// The options that were tried.
    options: String,
    kernel: Kernel,
}

/// What an earlier opening found in the same circumstances, else what a probe finds now.
pub fn known_or_probed(root: &Path, options: &Options) -> Result<Kernel> {
    let circumstances = |kernel| -> Option<Probed> {
        Some(Probed {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: boot::id().ok()?.to_owned(),
            device: fs::metadata(root).ok()?.dev(),
            mount: {
                let on = mountinfo::holding(root).ok()??;
                format!("{} {:?} {} {}", on.fs_type, on.source, on.options, on.super_options)
            },
            user_namespace: userns::is_active(),
            user: rustix::process::geteuid().as_raw(),
            options: format!("{:?} {:?} {}", options.mount_api, options.features(), options.volatile),
            kernel,
        })
    };
    let read = || serde_json::from_slice::<Probed>(&fs::read(root.join(FILE)).ok()?).ok();
    if let Some(known) = read()
        && circumstances(known.kernel.clone()).as_ref() == Some(&known)
    {
        return Ok(known.kernel);
    }
    let kernel = probe(root, options)?;
    if let Some(probed) = circumstances(kernel.clone()) {
        let json = serde_json::to_vec(&probed);
        let json = json.map_err(|error| Error::io("write", root.join(FILE))(std::io::Error::other(error)))?;
        write_atomically(root, FILE, &json, Durability::Skip)?;
    }
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileged_a_probe_is_believed_until_something_else_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("staging")).unwrap();
        let found = known_or_probed(dir.path(), &Options::default()).unwrap();
        let path = dir.path().join(FILE);
        let written = fs::read_to_string(&path).unwrap();
        let claim = |from: &str, to: &str| fs::write(&path, written.replace(from, to)).unwrap();
        claim(&format!("{:?}", found.backing), "\"told\"");
        assert_eq!(known_or_probed(dir.path(), &Options::default()).unwrap().backing, "told");
        let volatile = Options { volatile: true, ..Options::default() };
        assert_eq!(known_or_probed(dir.path(), &volatile).unwrap().backing, found.backing);
        fs::write(&path, "damaged").unwrap();
        assert_eq!(known_or_probed(dir.path(), &Options::default()).unwrap(), found);
        fs::write(&path, written.replace(boot::id().unwrap(), "another")).unwrap();
        assert_eq!(known_or_probed(dir.path(), &Options::default()).unwrap(), found);
    }
}
