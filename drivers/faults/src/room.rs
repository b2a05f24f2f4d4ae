//! Where trials are made: a directory of the matrix's own, in memory unless said otherwise.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, UnmountFlags, mount};
use storage_sys::{mount as mounts, mountinfo};

use crate::{Error, Result};

/// The directory; taken away with all that is mounted in it when this is dropped.
#[derive(Debug)]
pub struct Room {
    dir: Option<tempfile::TempDir>,
    path: PathBuf,
}

impl Room {
    /// Below `base`, or on a tmpfs of its own.
    pub fn make(base: Option<&Path>) -> Result<Self> {
        let above = base.map_or_else(std::env::temp_dir, Path::to_owned);
        let dir =
            tempfile::Builder::new().prefix("faults-").tempdir_in(&above).map_err(Error::io("write in", &above))?;
        let path = fs::canonicalize(dir.path()).map_err(Error::io("open", dir.path()))?;
        let room = Self { dir: Some(dir), path };
        if base.is_none() {
            mount("faults", &room.path, "tmpfs", MountFlags::NOATIME, c"mode=0755")
                .map_err(Error::io("mount a tmpfs on", &room.path))?;
            mounts::make_private(&room.path).map_err(Error::io("make private", &room.path))?;
        }
        Ok(room)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        sweep(&self.path);
        if let Some(dir) = self.dir.take()
            && let Err(error) = dir.close()
        {
            tracing::warn!(path = %self.path.display(), %error, "the room of the fault trials stays");
        }
    }
}

/// Detaches everything that is mounted at or below `path`, inner mounts first.
pub fn sweep(path: &Path) {
    let Ok(mut found) = mountinfo::below(path) else { return };
    found.sort_by(|a, b| b.mount_point.cmp(&a.mount_point));
    for mount in found {
        if let Err(error) = rustix::mount::unmount(&mount.mount_point, UnmountFlags::DETACH) {
            tracing::warn!(path = %mount.mount_point.display(), %error, "cannot detach what a trial left mounted");
        }
    }
}
