//! fsopen(2), fsconfig(2), fsmount(2), move_mount(2): one option a call, and the kernel says what it disliked.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, open},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen, move_mount,
    },
    path::Arg,
};

/// The longest value that one fsconfig(2) string takes, in bytes.
const STRING_LIMIT: usize = 255;

/// A refused step of building a mount, with the kernel's own words where it had some.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}{}", said(.log))]
pub struct FsContextError {
    /// The step, such as `lowerdir+`.
    pub step: String,
    /// Lines of the context's log, joined; may be empty.
    pub log: String,
    /// The errno.
    pub source: io::Error,
}

fn said(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!(" ({log})") }
}

/// A mount in the making.
#[derive(Debug)]
pub struct FsContext {
    fd: OwnedFd,
}

impl FsContext {
    /// Starts a mount of a file system type.
    ///
    /// # Errors
    /// `ENODEV` for an unknown type, `ENOSYS` before Linux 5.2, `EPERM` without the right to mount.
    pub fn new(fs_type: &str) -> io::Result<Self> {
        Ok(Self { fd: fsopen(fs_type, FsOpenFlags::FSOPEN_CLOEXEC)? })
    }

    /// Sets an option to a string of at most 255 bytes.
    ///
    /// # Errors
    /// The kernel's, with its log.
    pub fn set(&self, key: &str, value: impl Arg) -> Result<(), FsContextError> {
        self.checked(key, fsconfig_set_string(self.fd.as_fd(), key, value))
    }

    /// Sets an option that has no value.
    ///
    /// # Errors
    /// The kernel's, with its log.
    pub fn set_flag(&self, key: &str) -> Result<(), FsContextError> {
        self.checked(key, fsconfig_set_flag(self.fd.as_fd(), key))
    }

    /// Sets an option to a path of any length: as a string, or, when it is too long for one, as a descriptor.
    ///
    /// # Errors
    /// The kernel's, with its log.
    pub fn set_path(&self, key: &str, path: &Path) -> Result<(), FsContextError> {
        if path.as_os_str().len() <= STRING_LIMIT {
            return self.set(key, path);
        }
        let target = self.checked(key, open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()))?;
        match fsconfig_set_fd(self.fd.as_fd(), key, &target) {
            // Older kernels take no descriptors here, or none that were opened with O_PATH; but every kernel
            // follows the name that a descriptor has in /proc.
            Err(Errno::INVAL | Errno::BADF) => {
                _ = self.log();
                self.set(key, format!("/proc/self/fd/{}", target.as_raw_fd()))
            }
            result => self.checked(key, result),
        }
    }

    /// Makes the mount and attaches it at `target`.
    ///
    /// # Errors
    /// The kernel's, with its log; nothing stays mounted then.
    pub fn mount_at(self, target: &Path, attributes: MountAttrFlags) -> Result<(), FsContextError> {
        let mount = self.detached(attributes)?;
        let empty_path = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        self.checked("attach", move_mount(&mount, c"", CWD, target, empty_path))
    }

    /// Makes the mount without attaching it anywhere; it lives as long as the descriptor.
    ///
    /// # Errors
    /// The kernel's, with its log.
    pub fn detached(&self, attributes: MountAttrFlags) -> Result<OwnedFd, FsContextError> {
        self.checked("create", fsconfig_create(self.fd.as_fd()))?;
        self.checked("mount", fsmount(self.fd.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes))
    }

    fn checked<T>(&self, step: &str, result: Result<T, Errno>) -> Result<T, FsContextError> {
        result.map_err(|errno| FsContextError { step: step.to_owned(), log: self.log(), source: errno.into() })
    }

    /// What the kernel wrote to the context since it was last asked: one message a read, as `e text`, `w text`
    /// or `i text`, and `ENODATA` when there is no more.
    fn log(&self) -> String {
        let mut lines = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = rustix::io::read(&self.fd, &mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]);
            let text = line.trim_end().split_once(' ').map_or("", |(_, text)| text);
            lines.push(text.to_owned());
        }
        lines.join("; ")
    }
}
