//! A root at rest: closed in order by whoever had it last, so that the next opening has nothing to look for.
//!
//! Without this, every opening reads every layer's record, and a command on one container costs the more, the more others
//! there are. `rest.json` is written as the last thing before the lock is given back, and removed as the first thing after it is
//! taken; so it is absent after a crash. It counts only during the same boot and on the same mount, since a power loss or a lost
//! device may have taken what was never synced, and only while the directories are as they were, for people who move
//! layers by hand. Kernels before Linux 6.8 cannot tell one mount from the next, and user namespaces have mounts of their own:
//! there every opening looks.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use serde::{Deserialize, Serialize};
use storage_driver::{Error, Result};
use storage_sys::{boot, mount};

use crate::hold::HELD;

const FILE: &str = "rest.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rest {
    /// Of the running kernel, see random(4).
    boot: String,
    /// The mount that the root is on.
    mount: u64,
    /// The directories in the root, but for that of the holds, which come and go without the lock.
    directories: BTreeMap<String, Stamp>,
}

/// What changes when something is put into a directory or taken out.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    inode: u64,
    changed: i64,
    nanoseconds: i64,
}

impl Rest {
    fn now(root: &Path) -> io::Result<Self> {
        let mount = mount::unique_id(root)?.ok_or(io::ErrorKind::Unsupported)?;
        let mut directories = BTreeMap::new();
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != HELD && entry.file_type()?.is_dir() {
                let found = entry.metadata()?;
                let stamp = Stamp { inode: found.ino(), changed: found.ctime(), nanoseconds: found.ctime_nsec() };
                directories.insert(name.to_string_lossy().into_owned(), stamp);
            }
        }
        Ok(Self { boot: boot::id()?.to_owned(), mount, directories })
    }
}

/// Ends the root's rest; whether it was at rest. The root must be locked.
pub fn end(root: &Path) -> Result<bool> {
    let path = root.join(FILE);
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    // Before anything else: whoever is killed from now on leaves a root that must be looked at.
    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    // Half of it, or an older program's, is as good as none.
    let Ok(rest) = serde_json::from_slice::<Rest>(&json) else { return Ok(false) };
    Ok(Rest::now(root).is_ok_and(|now| now == rest))
}

/// Says that the root is at rest. Where that fails, the next opening takes longer, and that is all.
pub fn begin(root: &Path) {
    let write = || -> io::Result<()> {
        let json = serde_json::to_vec(&Rest::now(root)?)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(root.join(FILE))?.write_all(&json)
    };
    if let Err(error) = write() {
        tracing::debug!(root = %root.display(), %error, "the next opening must look at all layers");
    }
}
