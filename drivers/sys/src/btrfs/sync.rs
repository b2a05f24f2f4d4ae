//! Waiting: for what was written, and for the space of what was deleted.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{StatVfsMountFlags, fstatvfs},
    io::Errno,
    ioctl::{self, NoArg, opcode},
};

use super::{
    MAGIC,
    search::{Key, Range, kind, search, tree},
};

const SYNC: ioctl::Opcode = opcode::none(MAGIC, 8);

/// Writes out everything that the file system holds back, data and metadata, and wakes its cleaner.
///
/// # Errors
/// The ioctl's.
pub fn sync(file_system: impl AsFd) -> io::Result<()> {
    // SAFETY: BTRFS_IOC_SYNC takes no argument and touches no memory of ours.
    Ok(unsafe { ioctl::ioctl(file_system, NoArg::<SYNC>::new()) }?)
}

/// Waits until the kernel's cleaner has dropped a deleted subvolume, some time after it was deleted. Call [`sync`] before, lest
/// the cleaner sleeps, and after, since dropped space can be used again when that is committed.
///
/// A subvolume's root stays in the tree of trees until all of it is dropped; `btrfs subvolume sync` goes by that as well. The
/// kernel's own call for this, `BTRFS_IOC_SUBVOL_SYNC_WAIT` of Linux 6.13, never returns once an error has made the file system
/// read-only, for then nothing is dropped any more.
///
/// # Errors
/// `ETIMEDOUT` when it takes longer than `limit`; `EROFS` when the file system has become read-only; the ioctl's.
pub fn wait_for_cleaner(file_system: impl AsFd, id: u64, limit: Duration) -> io::Result<()> {
    const SHORT: Duration = Duration::from_millis(2);
    const LONG: Duration = Duration::from_millis(50);
    let key = |offset| Key { object: id, kind: kind::ROOT_ITEM, offset };
    let range = Range { tree: tree::ROOTS, first: key(0), last: key(u64::MAX), since: 0 };
    let end = Instant::now() + limit;
    let mut pause = SHORT;
    loop {
        let mut present = false;
        search(&file_system, &range, |_| present = true)?;
        if !present {
            return Ok(());
        }
        if fstatvfs(&file_system)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(Errno::ROFS.into());
        }
        if Instant::now() > end {
            return Err(Errno::TIMEDOUT.into());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONG);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_are_the_kernels() {
        assert_eq!(SYNC, 0x9408);
    }
}
