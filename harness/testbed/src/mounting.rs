//! Mounting what was made, in the kernel's words where it refuses.

use std::{fs::File, io, path::Path};

use rustix::mount::{MountAttrFlags, MountFlags};
use storage_sys::{
    btrfs,
    mount::{FsContext, FsContextError},
};

use crate::{Error, FileSystem, Result};

/// The mount option that has project quotas enforced, for ext4 and xfs alike.
const QUOTA: &str = "prjquota";

/// Seconds between the commits that ext4 makes by itself (ext4(5): 5 by default). One that falls into a measurement by chance writes
/// blocks that are then written again; measurements end with a sync, so none is needed. btrfs keeps its 30: the thread that
/// takes deleted subvolumes apart wakes up as often.
const COMMIT: &str = "300";

/// ext4's way of writing back that repeats. By its own default blocks are allocated as unwritten and marked as written when the device
/// is done, by a thread that races with the journal's commit: what it changes behind that goes into the next commit, too.
const WRITE_BACK: &str = "dioread_lock";

/// What a mount is told, for the record.
pub const fn options(file_system: FileSystem, quota: bool) -> &'static str {
    match (file_system, quota) {
        (FileSystem::Ext4, true) => "noatime,commit=300,dioread_lock,prjquota",
        (FileSystem::Xfs, true) => "noatime,prjquota",
        (FileSystem::Ext4, false) => "noatime,commit=300,dioread_lock",
        _ => "noatime",
    }
}

const fn is_journaled(file_system: FileSystem) -> bool {
    matches!(file_system, FileSystem::Ext4)
}

pub fn mount(device: &Path, file_system: FileSystem, quota: bool, point: &Path) -> Result<()> {
    if file_system == FileSystem::Btrfs {
        attach(device, file_system, false, point)?;
        // No option of the mount, but a state of the file system.
        let enable = || File::open(point).and_then(btrfs::quota::enable);
        return if quota { enable().map(drop).map_err(Error::io("switch on quotas for", point)) } else { Ok(()) };
    }
    attach(device, file_system, quota, point)
}

fn attach(device: &Path, file_system: FileSystem, quota: bool, point: &Path) -> Result<()> {
    let name = file_system.name();
    by_context(device, file_system, quota, point)
        .or_else(|error| match error.source.raw_os_error() {
            // Before Linux 5.2, and under seccomp filters of that time.
            Some(NO_SUCH_CALL) => by_mount(device, file_system, quota, point),
            _ => Err(error),
        })
        .map_err(|source| match (quota, file_system) {
            (true, FileSystem::Ext4) => Error::NoQuota { file_system: name, option: "CONFIG_QFMT_V2", source },
            (true, FileSystem::Xfs) => Error::NoQuota { file_system: name, option: "CONFIG_XFS_QUOTA", source },
            _ => Error::Mount { file_system: name, path: point.to_owned(), source },
        })
}

/// `ENOSYS`.
const NO_SUCH_CALL: i32 = rustix::io::Errno::NOSYS.raw_os_error();

fn by_context(device: &Path, file_system: FileSystem, quota: bool, point: &Path) -> Result<(), FsContextError> {
    let context = FsContext::new(file_system.name()).map_err(|source| failed("open a file system context", source))?;
    context.set("source", device)?;
    if is_journaled(file_system) {
        context.set("commit", Path::new(COMMIT))?;
        context.set_flag(WRITE_BACK)?;
    }
    if quota {
        context.set_flag(QUOTA)?;
    }
    context.mount_at(point, MountAttrFlags::MOUNT_ATTR_NOATIME)
}

fn by_mount(device: &Path, file_system: FileSystem, quota: bool, point: &Path) -> Result<(), FsContextError> {
    let options = match (is_journaled(file_system), quota) {
        (true, true) => c"commit=300,dioread_lock,prjquota",
        (true, false) => c"commit=300,dioread_lock",
        (false, true) => c"prjquota",
        (false, false) => c"",
    };
    rustix::mount::mount(device, point, file_system.name(), MountFlags::NOATIME, options)
        .map_err(|errno| failed("mount", errno.into()))
}

fn failed(step: &str, source: io::Error) -> FsContextError {
    FsContextError { step: step.to_owned(), log: String::new(), source }
}

/// A tmpfs for a device's file.
pub fn memory(point: &Path, options: &str) -> Result<()> {
    let options = std::ffi::CString::new(options).map_err(Error::io("mount", point))?;
    rustix::mount::mount("harness-testbed", point, "tmpfs", MountFlags::NOATIME, options.as_c_str())
        .map_err(Error::io("mount a file system in memory on", point))
}
