//! Shared memory that other containers may share: a file system on the host, mounted in each of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

use crate::{Error, Result};

/// Docker's size.
const SIZE: u64 = 64 << 20;

/// Where it is, in a container's directory.
pub(crate) fn place(dir: &Path) -> PathBuf {
    dir.join("shm")
}

/// A mounted one. Dropping it takes the mount away; containers that have it keep it.
#[derive(Debug)]
pub(crate) struct SharedMemory(PathBuf);

impl SharedMemory {
    /// Mounts one of so many bytes for the container with this directory.
    pub(crate) fn mount(dir: &Path, size: Option<u64>) -> Result<Self> {
        let place = place(dir);
        detach(dir)?;
        fs::create_dir_all(&place).map_err(Error::io("create", &place))?;
        let options = format!("mode=1777,size={}", size.unwrap_or(SIZE));
        let options = std::ffi::CString::new(options).unwrap_or_default();
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
        mount("shm", &place, "tmpfs", flags, Some(options.as_c_str())).map_err(Error::io("mount", &place))?;
        Ok(Self(place))
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            tracing::warn!(place = %self.0.display(), %error, "a container's shared memory stays mounted");
        }
    }
}

/// Takes away what a supervisor that was killed has left mounted.
pub(crate) fn detach(dir: &Path) -> Result<()> {
    let place = place(dir);
    if !place.is_dir() {
        return Ok(());
    }
    match unmount(&place, UnmountFlags::DETACH) {
        // Nothing is mounted there.
        Err(Errno::INVAL) => Ok(()),
        other => other.map_err(Error::io("unmount", place)),
    }
}
