//! Which system calls change what a file system or the mount table holds.

use libc::c_long;

/// What a call does to the state that outlives its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Makes, links or renames a name.
    Name,
    /// Takes a name away.
    Remove,
    /// Writes content or allocates room for it.
    Write,
    /// Sets owners, modes, times or xattrs.
    Attributes,
    /// Waits for the disk.
    Sync,
    /// Mounts, in one of the steps of the newer calls or at once.
    Mount,
    /// Unmounts.
    Unmount,
    /// An ioctl(2) or quotactl(2), whose meaning is the device's.
    Control,
}

/// One system call of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    pub number: c_long,
    pub name: &'static str,
    pub class: Class,
    /// What its arguments are, for people: `d` the directory of the path that follows, `p` a path or other string, `f` a
    /// descriptor, `n` a number, `o` a mode, `_` nothing worth a word.
    pub arguments: &'static str,
    /// The argument that holds the flags of open(2): without one that makes or cuts a file the call changes nothing.
    pub open_flags: Option<usize>,
    /// The argument that says how many bytes are to be written.
    pub length: Option<usize>,
}

/// Flags of open(2) that make a file or cut it; O_TMPFILE without the O_DIRECTORY that is part of it.
pub const CHANGING_OPEN_FLAGS: u32 = (libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;

const fn call(number: c_long, name: &'static str, class: Class, arguments: &'static str) -> Known {
    Known { number, name, class, arguments, open_flags: None, length: None }
}

const fn open(number: c_long, name: &'static str, arguments: &'static str, flags: usize) -> Known {
    Known { open_flags: Some(flags), ..call(number, name, Class::Name, arguments) }
}

const fn write(number: c_long, name: &'static str, arguments: &'static str, length: usize) -> Known {
    Known { length: Some(length), ..call(number, name, Class::Write, arguments) }
}

/// fchmodat2(2), which `libc` has not on every architecture.
const SYS_FCHMODAT2: c_long = 452;
/// setxattrat(2) and removexattrat(2), since Linux 6.13.
const SYS_SETXATTRAT: c_long = 463;
const SYS_REMOVEXATTRAT: c_long = 466;

/// The calls that every architecture has.
const COMMON: &[Known] = &[
    open(libc::SYS_openat, "openat", "dpno", 2),
    call(libc::SYS_openat2, "openat2", Class::Name, "dp"),
    call(libc::SYS_mkdirat, "mkdirat", Class::Name, "dpo"),
    call(libc::SYS_mknodat, "mknodat", Class::Name, "dpo"),
    call(libc::SYS_symlinkat, "symlinkat", Class::Name, "pdp"),
    call(libc::SYS_linkat, "linkat", Class::Name, "dpdp"),
    call(libc::SYS_renameat, "renameat", Class::Name, "dpdp"),
    call(libc::SYS_renameat2, "renameat2", Class::Name, "dpdpn"),
    call(libc::SYS_unlinkat, "unlinkat", Class::Remove, "dpn"),
    write(libc::SYS_write, "write", "f_n", 2),
    write(libc::SYS_pwrite64, "pwrite64", "f_nn", 2),
    call(libc::SYS_writev, "writev", Class::Write, "f_n"),
    call(libc::SYS_pwritev, "pwritev", Class::Write, "f_nn"),
    call(libc::SYS_pwritev2, "pwritev2", Class::Write, "f_nn"),
    call(libc::SYS_ftruncate, "ftruncate", Class::Write, "fn"),
    call(libc::SYS_truncate, "truncate", Class::Write, "pn"),
    call(libc::SYS_fallocate, "fallocate", Class::Write, "fnnn"),
    write(libc::SYS_copy_file_range, "copy_file_range", "f_f_n", 4),
    write(libc::SYS_sendfile, "sendfile", "ff_n", 3),
    write(libc::SYS_splice, "splice", "f_f_n", 4),
    call(libc::SYS_fsync, "fsync", Class::Sync, "f"),
    call(libc::SYS_fdatasync, "fdatasync", Class::Sync, "f"),
    call(libc::SYS_syncfs, "syncfs", Class::Sync, "f"),
    call(libc::SYS_sync, "sync", Class::Sync, ""),
    call(libc::SYS_sync_file_range, "sync_file_range", Class::Sync, "fnn"),
    call(libc::SYS_fchmod, "fchmod", Class::Attributes, "fo"),
    call(libc::SYS_fchmodat, "fchmodat", Class::Attributes, "dpo"),
    call(SYS_FCHMODAT2, "fchmodat2", Class::Attributes, "dpo"),
    call(libc::SYS_fchown, "fchown", Class::Attributes, "fnn"),
    call(libc::SYS_fchownat, "fchownat", Class::Attributes, "dpnn"),
    call(libc::SYS_utimensat, "utimensat", Class::Attributes, "dp"),
    call(libc::SYS_setxattr, "setxattr", Class::Attributes, "pp"),
    call(libc::SYS_lsetxattr, "lsetxattr", Class::Attributes, "pp"),
    call(libc::SYS_fsetxattr, "fsetxattr", Class::Attributes, "fp"),
    call(SYS_SETXATTRAT, "setxattrat", Class::Attributes, "dpnp"),
    call(libc::SYS_removexattr, "removexattr", Class::Attributes, "pp"),
    call(libc::SYS_lremovexattr, "lremovexattr", Class::Attributes, "pp"),
    call(libc::SYS_fremovexattr, "fremovexattr", Class::Attributes, "fp"),
    call(SYS_REMOVEXATTRAT, "removexattrat", Class::Attributes, "dpnp"),
    call(libc::SYS_mount, "mount", Class::Mount, "ppp"),
    call(libc::SYS_fsconfig, "fsconfig", Class::Mount, "fnp"),
    call(libc::SYS_fsmount, "fsmount", Class::Mount, "f"),
    call(libc::SYS_move_mount, "move_mount", Class::Mount, "dpdp"),
    call(libc::SYS_mount_setattr, "mount_setattr", Class::Mount, "dp"),
    call(libc::SYS_umount2, "umount2", Class::Unmount, "pn"),
    call(libc::SYS_ioctl, "ioctl", Class::Control, "fn"),
    call(libc::SYS_quotactl, "quotactl", Class::Control, "np"),
    call(libc::SYS_quotactl_fd, "quotactl_fd", Class::Control, "fn"),
];

/// The older calls that x86-64 still has, and that the C library still makes.
#[cfg(target_arch = "x86_64")]
const OLDER: &[Known] = &[
    open(libc::SYS_open, "open", "pno", 1),
    call(libc::SYS_creat, "creat", Class::Name, "po"),
    call(libc::SYS_mkdir, "mkdir", Class::Name, "po"),
    call(libc::SYS_mknod, "mknod", Class::Name, "po"),
    call(libc::SYS_symlink, "symlink", Class::Name, "pp"),
    call(libc::SYS_link, "link", Class::Name, "pp"),
    call(libc::SYS_rename, "rename", Class::Name, "pp"),
    call(libc::SYS_unlink, "unlink", Class::Remove, "p"),
    call(libc::SYS_rmdir, "rmdir", Class::Remove, "p"),
    call(libc::SYS_chmod, "chmod", Class::Attributes, "po"),
    call(libc::SYS_chown, "chown", Class::Attributes, "pnn"),
    call(libc::SYS_lchown, "lchown", Class::Attributes, "pnn"),
    call(libc::SYS_utime, "utime", Class::Attributes, "p"),
    call(libc::SYS_utimes, "utimes", Class::Attributes, "p"),
    call(libc::SYS_futimesat, "futimesat", Class::Attributes, "dp"),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[Known] = &[];

/// The whole table.
pub fn known() -> impl Iterator<Item = &'static Known> {
    COMMON.iter().chain(OLDER)
}

/// Whether an ioctl(2) only asks: its number says that data comes back and none goes in (linux/ioctl.h), or it is one
/// of a terminal's, by which the C library asks what kind of file it has.
pub const fn only_asks(request: u64) -> bool {
    const READ: u64 = 2;
    /// `BTRFS_IOC_QGROUP_LIMIT` sets a limit, and has a number that says that it asks (linux/btrfs.h).
    const QGROUP_LIMIT: u64 = 0x8030_942b;
    request != QGROUP_LIMIT && ((request >> 30) & 3 == READ || (request >> 8) & 0x00ff_ffff == b'T' as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_is_there_once() {
        let numbers: BTreeSet<_> = known().map(|call| call.number).collect();
        let names: BTreeSet<_> = known().map(|call| call.name).collect();
        assert_eq!(numbers.len(), known().count());
        assert_eq!(names.len(), known().count());
    }

    #[test]
    fn ioctls_that_ask_are_told_from_those_that_do() {
        assert!(only_asks(0x5401), "TCGETS");
        assert!(only_asks(0x8008_6601), "FS_IOC_GETFLAGS");
        assert!(!only_asks(0x4008_6602), "FS_IOC_SETFLAGS");
        assert!(!only_asks(0x4c01), "LOOP_CLR_FD");
        assert!(!only_asks(0xc138_fd03), "DM_DEV_CREATE");
        assert!(!only_asks(0x4004_9409), "FICLONE");
        assert!(!only_asks(0x8030_942b), "BTRFS_IOC_QGROUP_LIMIT");
    }
}
