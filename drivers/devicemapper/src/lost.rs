//! Layers whose writes did not reach the pool.
//!
//! A file system on a thin device promises room that the pool may not have. Once a write-back has failed, its pages count as clean, and
//! the next sync succeeds: only the first one tells ([fsync(2)](https://man7.org/linux/man-pages/man2/fsync.2.html), `EIO`). So that is
//! written down, and such a layer is not written to, sealed or exported any more.

use std::{fs, path::Path};

use storage_driver::{Error, LayerId, Result};
use storage_root::{Durability, write_atomically};
use storage_sys::mountinfo::{self, MountInfo};

use crate::{filesystem, layers::MERGED};

/// In the layer's directory: what the sync said.
const FILE: &str = "lost";

/// Has everybody know that the layer in `dir` has lost writes. That this cannot be written down, in a full file system for one, is only
/// logged: the caller has the error that matters more.
pub fn mark(dir: &Path, why: &Error) {
    if let Err(error) = write_atomically(dir, FILE, why.to_string().as_bytes(), Durability::Sync) {
        tracing::warn!(path = %dir.display(), %error, "only this process knows that the layer has lost writes");
    }
}

/// Refuses a layer that is marked.
pub fn refuse(id: &LayerId, dir: &Path) -> Result<()> {
    let path = dir.join(FILE);
    match fs::read(&path) {
        Ok(why) => Err(Error::Lost { id: id.clone(), why: String::from_utf8_lossy(&why).into_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Syncs what a process that was killed has left mounted for writing below the layers of `root`, and marks what that fails for: unmounting
/// would not tell.
pub fn note(root: &Path) -> Result<()> {
    let mounts = mountinfo::below(&root.join("layers")).map_err(Error::io("read", "/proc/self/mountinfo"))?;
    // Of the mount itself: the file system's own options say `ro` after an error, too.
    let is_written = |mount: &&MountInfo| {
        mount.mount_point.ends_with(MERGED) && !mount.options.split(',').any(|option| option == "ro")
    };
    for mount in mounts.iter().filter(is_written) {
        if let (Err(why), Some(dir)) = (filesystem::sync(&mount.mount_point), mount.mount_point.parent()) {
            mark(dir, &why);
        }
    }
    Ok(())
}
