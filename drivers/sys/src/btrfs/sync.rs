//! Waiting: for what was written, and for the space of what was deleted.
#![allow(unsafe_code)]

use std::{
    io,
    mem::size_of,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    ioctl::{self, NoArg, Setter, opcode},
};

use super::{
    MAGIC,
    search::{Key, Range, kind, search, tree},
};

/// `struct btrfs_ioctl_subvol_wait`.
#[derive(Clone, Copy)]
#[repr(C)]
struct SubvolWait {
    id: u64,
    mode: u32,
    count: u32,
}

const SYNC: ioctl::Opcode = opcode::none(MAGIC, 8);
/// Since Linux 6.13.
const SUBVOL_SYNC_WAIT: ioctl::Opcode = opcode::write::<SubvolWait>(MAGIC, 65);
/// `BTRFS_SUBVOL_SYNC_WAIT_FOR_ONE`.
const WAIT_FOR_ONE: u32 = 0;

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
/// # Errors
/// `ETIMEDOUT` when it takes longer than `limit`, where the kernel does not wait itself; `EEXIST` when it is not deleted;
/// the ioctls'.
pub fn wait_for_cleaner(file_system: impl AsFd, id: u64, limit: Duration) -> io::Result<()> {
    /// The kernel's own call looks once a second (fs/btrfs/ioctl.c), and most subvolumes are dropped sooner.
    const BRIEFLY: Duration = Duration::from_millis(500);
    if poll(&file_system, id, Duration::from_millis(2), BRIEFLY)? {
        return Ok(());
    }
    let wait = SubvolWait { id, mode: WAIT_FOR_ONE, count: 0 };
    loop {
        // SAFETY: the opcode reads one `struct btrfs_ioctl_subvol_wait`, which `SubvolWait` mirrors (its size is asserted).
        match unsafe { ioctl::ioctl(&file_system, Setter::<SUBVOL_SYNC_WAIT, SubvolWait>::new(wait)) } {
            // The call knows only subvolumes that were used since the file system was mounted.
            Ok(()) | Err(Errno::NOENT | Errno::NOTTY) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let gone = poll(file_system, id, Duration::from_millis(50), limit)?;
    if gone { Ok(()) } else { Err(Errno::TIMEDOUT.into()) }
}

/// Whether a deleted subvolume is dropped within a time. Its root stays in the tree of trees until all of it is, which is
/// what `btrfs subvolume sync` goes by as well.
fn poll(file_system: impl AsFd, id: u64, pause: Duration, limit: Duration) -> io::Result<bool> {
    let key = |offset| Key { object: id, kind: kind::ROOT_ITEM, offset };
    let range = Range { tree: tree::ROOTS, first: key(0), last: key(u64::MAX), since: 0 };
    let end = Instant::now() + limit;
    loop {
        let mut present = false;
        search(&file_system, &range, |_| present = true)?;
        if !present {
            return Ok(true);
        }
        if Instant::now() > end {
            return Ok(false);
        }
        thread::sleep(pause);
    }
}

const _: () = assert!(size_of::<SubvolWait>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_are_the_kernels() {
        assert_eq!(SYNC, 0x9408);
        assert_eq!(SUBVOL_SYNC_WAIT, 0x4010_9441);
    }
}
