//! Project quotas: a limit on everything below a directory (quotactl(2), ioctl_xfs_fsgetxattr(2), xfs_quota(8)).
#![allow(unsafe_code)]

use std::{
    fs::File,
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use rustix::ioctl::{self, Getter, Setter, opcode};

/// `struct fsxattr` (linux/fs.h).
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct FsXattr {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    pad: [u8; 8],
}

/// `struct if_dqblk` (linux/quota.h); space limits are in units of 1 KiB.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct IfDqblk {
    hard_blocks: u64,
    soft_blocks: u64,
    space: u64,
    hard_inodes: u64,
    soft_inodes: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
}

const FS_IOC_FSGETXATTR: ioctl::Opcode = opcode::read::<FsXattr>(b'X', 31);
const FS_IOC_FSSETXATTR: ioctl::Opcode = opcode::write::<FsXattr>(b'X', 32);
/// New files and directories take the directory's project id.
const FS_XFLAG_PROJINHERIT: u32 = 0x200;

/// `struct fs_quota_stat` (linux/dqblk_xfs.h); for ext4, too, which has no record of its own for this.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct FsQuotaStat {
    version: i8,
    flags: u16,
    pad: i8,
    files: [QuotaFileStat; 2],
    in_core: u32,
    time_limits: [i32; 3],
    warning_limits: [u16; 2],
}

/// `struct fs_qfilestat` (linux/dqblk_xfs.h).
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct QuotaFileStat {
    inode: u64,
    blocks: u64,
    extents: u32,
}

const Q_XGETQSTAT: u32 = 0x5805;
/// `FsQuotaStat.flags`: limits of projects are enforced, and not only counted.
const FS_QUOTA_PDQ_ENFD: u16 = 1 << 5;

const Q_GETQUOTA: u32 = 0x80_0007;
const Q_SETQUOTA: u32 = 0x80_0008;
const PRJQUOTA: u32 = 2;
/// `if_dqblk.valid`: the space limits are meant.
const QIF_BLIMITS: u32 = 1;

/// Why project quotas do not work on a directory.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The file system has them not, or they are not switched on.
    #[error(
        "project quotas are not on; mount xfs with -o prjquota, or make ext4 with -O quota,project and mount it \
         with -o prjquota"
    )]
    Off,
    /// The kernel has no quotactl_fd(2) (Linux 5.14) or no quotas.
    #[error("this kernel has no quotas (quotactl_fd, CONFIG_QUOTA)")]
    NoKernel,
    /// Something else stands against it.
    #[error("asking for project quotas failed: {0}")]
    Other(io::Error),
}

/// Whether the file system of `directory` enforces project quotas.
///
/// ext4 made with quotas counts them whenever it is mounted, and enforces them with `-o prjquota` only.
///
/// # Errors
/// [`Unavailable`] says why not.
pub fn probe(directory: &Path) -> Result<(), Unavailable> {
    let directory = File::open(directory).map_err(Unavailable::Other)?;
    let mut state = FsQuotaStat::default();
    match quotactl(&directory, Q_XGETQSTAT, 0, &raw mut state) {
        Ok(()) if state.flags & FS_QUOTA_PDQ_ENFD != 0 => Ok(()),
        Ok(()) => Err(Unavailable::Off),
        Err(error) => Err(match error.raw_os_error() {
            // It stands for a missing call and for a file system without quotas; the kernel knows an unknown command
            // on a good descriptor apart from the first (quotactl(2)).
            Some(libc::ENOSYS) if is_call_known() => Unavailable::Off,
            Some(libc::ENOSYS) => Unavailable::NoKernel,
            Some(libc::ESRCH | libc::ENOTSUP | libc::EINVAL | libc::ENOTTY | libc::ENOENT) => Unavailable::Off,
            _ => Unavailable::Other(error),
        }),
    }
}

fn is_call_known() -> bool {
    /// Of a descriptor that cannot be: a kernel with the call says `EBADF`.
    const NONE: i32 = -1;
    // SAFETY: the descriptor is refused before the address, which is null, is looked at.
    let result = unsafe { libc::syscall(libc::SYS_quotactl_fd, NONE, Q_XGETQSTAT << 8, 0, std::ptr::null::<u8>()) };
    result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EBADF)
}

/// Puts an empty directory, and all that will be made in it, into a project.
///
/// # Errors
/// The ioctls'.
pub fn assign(directory: &Path, project: u32) -> io::Result<()> {
    let dir = File::open(directory)?;
    // SAFETY: the opcode reads one `struct fsxattr`, which `FsXattr` mirrors (its size is tested), into memory that
    // `Getter` provides.
    let mut attributes = unsafe { ioctl::ioctl(&dir, Getter::<FS_IOC_FSGETXATTR, FsXattr>::new()) }?;
    attributes.projid = project;
    attributes.xflags |= FS_XFLAG_PROJINHERIT;
    // SAFETY: the opcode writes one `struct fsxattr` from the value that `Setter` holds.
    unsafe { ioctl::ioctl(&dir, Setter::<FS_IOC_FSSETXATTR, FsXattr>::new(attributes)) }?;
    Ok(())
}

/// The project id of a directory.
///
/// # Errors
/// The ioctl's.
pub fn project(directory: &Path) -> io::Result<u32> {
    let dir = File::open(directory)?;
    // SAFETY: as in `assign`.
    let attributes = unsafe { ioctl::ioctl(&dir, Getter::<FS_IOC_FSGETXATTR, FsXattr>::new()) }?;
    Ok(attributes.projid)
}

/// Limits a project on the file system of `directory` to `bytes`, rounded up to KiB; 0 lifts the limit.
///
/// # Errors
/// quotactl_fd(2)'s.
pub fn limit(directory: &Path, project: u32, bytes: u64) -> io::Result<()> {
    let blocks = bytes.div_ceil(1024);
    let mut limits = IfDqblk { hard_blocks: blocks, soft_blocks: blocks, valid: QIF_BLIMITS, ..IfDqblk::default() };
    control(&File::open(directory)?, Q_SETQUOTA, project, &mut limits)
}

/// The limit of a project in bytes; 0 when there is none.
///
/// # Errors
/// quotactl_fd(2)'s.
pub fn limit_of(directory: &Path, project: u32) -> io::Result<u64> {
    let mut found = IfDqblk::default();
    control(&File::open(directory)?, Q_GETQUOTA, project, &mut found)?;
    Ok(found.hard_blocks.saturating_mul(1024))
}

/// True when something on the file system of `directory` belongs to the project.
///
/// # Errors
/// quotactl_fd(2)'s.
pub fn is_used(directory: &Path, project: u32) -> io::Result<bool> {
    let mut found = IfDqblk::default();
    match control(&File::open(directory)?, Q_GETQUOTA, project, &mut found) {
        Ok(()) => Ok(found.space != 0 || found.inodes != 0),
        // No record of this project yet.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn control(on: &impl AsFd, command: u32, project: u32, block: &mut IfDqblk) -> io::Result<()> {
    quotactl(on, command, project, &raw mut *block)
}

/// The record that a command of quotactl(2) reads or writes.
trait Record {}
impl Record for IfDqblk {}
impl Record for FsQuotaStat {}

fn quotactl<T: Record>(on: &impl AsFd, command: u32, project: u32, record: *mut T) -> io::Result<()> {
    let command = (command << 8) | PRJQUOTA;
    let fd = on.as_fd().as_raw_fd();
    // SAFETY: the three commands of this module read or write one record of the type that their callers pass, whose
    // layouts are the kernel's (their sizes are tested); it is alive, and the descriptor open, for the call.
    let result = unsafe { libc::syscall(libc::SYS_quotactl_fd, fd, command, project, record) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const _: () = assert!(size_of::<FsXattr>() == 28);
const _: () = assert!(size_of::<IfDqblk>() == 72);
const _: () = assert!(size_of::<FsQuotaStat>() == 80);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_are_the_kernels() {
        assert_eq!(FS_IOC_FSGETXATTR, 0x801c_581f);
        assert_eq!(FS_IOC_FSSETXATTR, 0x401c_5820);
    }

    #[test]
    fn a_file_system_without_quotas_says_so() {
        let refused = probe(Path::new("/proc")).unwrap_err();
        assert!(!refused.to_string().is_empty());
    }
}
