//! Room in memory: making and removing thousands of files is what most cases spend their time on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::{
    fs::XattrFlags,
    mount::{MountFlags, UnmountFlags},
};

/// A tmpfs on a directory, gone when this is dropped.
#[derive(Debug)]
pub struct Ram {
    path: PathBuf,
}

impl Ram {
    /// Mounts one, where the kernel lets us and its tmpfs keeps everything that a file can have: before Linux 6.6 it
    /// had no `user.*` xattrs. Otherwise the directory stays what it is.
    pub fn on(path: &Path) -> Option<Self> {
        let flags = MountFlags::NOATIME;
        rustix::mount::mount("conformance", path, "tmpfs", flags, c"mode=0755").ok()?;
        let ram = Self { path: path.to_owned() };
        let probe = path.join("probe");
        let kept = fs::write(&probe, "").is_ok()
            && rustix::fs::setxattr(&probe, "user.probe", b"1", XattrFlags::empty()).is_ok()
            && fs::remove_file(&probe).is_ok();
        kept.then_some(ram)
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        if let Err(error) = rustix::mount::unmount(&self.path, UnmountFlags::DETACH) {
            tracing::warn!(path = %self.path.display(), %error, "cannot unmount a case's room in memory");
        }
    }
}
