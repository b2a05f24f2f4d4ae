//! Quota groups: what a subvolume holds and may hold (btrfs-quota(5)).
#![allow(unsafe_code)]

use std::{
    collections::BTreeSet,
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd},
};

use rustix::{
    io::Errno,
    ioctl::{self, NoArg, Setter, Updater, opcode},
};

use super::{
    MAGIC, ROOT_INODE,
    search::{Key, Range, kind, search, tree},
    sync::sync,
};

/// `struct btrfs_ioctl_quota_ctl_args`.
#[derive(Clone, Copy)]
#[repr(C)]
struct ControlArgs {
    command: u64,
    status: u64,
}

/// `struct btrfs_ioctl_qgroup_create_args`.
#[derive(Clone, Copy)]
#[repr(C)]
struct CreateArgs {
    create: u64,
    id: u64,
}

/// `struct btrfs_ioctl_qgroup_limit_args`, with `struct btrfs_qgroup_limit` in it.
#[derive(Clone, Copy)]
#[repr(C)]
struct LimitArgs {
    id: u64,
    flags: u64,
    max_referenced: u64,
    max_exclusive: u64,
    reserved_referenced: u64,
    reserved_exclusive: u64,
}

const QUOTA_CTL: ioctl::Opcode = opcode::read_write::<ControlArgs>(MAGIC, 40);
const QGROUP_CREATE: ioctl::Opcode = opcode::write::<CreateArgs>(MAGIC, 42);
const QGROUP_LIMIT: ioctl::Opcode = opcode::read::<LimitArgs>(MAGIC, 43);
const QUOTA_RESCAN_WAIT: ioctl::Opcode = opcode::none(MAGIC, 46);

const ENABLE: u64 = 1;
/// Since Linux 6.7.
const ENABLE_SIMPLE: u64 = 4;
const LIMIT_MAX_EXCLUSIVE: u64 = 1 << 1;
/// `BTRFS_QGROUP_STATUS_FLAG_*`.
const STATUS_ON: u64 = 1 << 0;
const STATUS_SIMPLE: u64 = 1 << 3;

/// How a file system counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What each subvolume refers to and what it has for itself, by following all references.
    Full,
    /// What each subvolume allocated, whoever shares it now; much cheaper.
    Simple,
}

/// What a subvolume's quota group counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Bytes that it refers to, shared ones too.
    pub referenced: u64,
    /// Bytes that nobody else refers to.
    pub exclusive: u64,
}

/// Whether and how a file system counts; `None` when quotas are off.
///
/// # Errors
/// The ioctl's: `EPERM` without `CAP_SYS_ADMIN`.
pub fn mode(file_system: impl AsFd) -> io::Result<Option<Mode>> {
    let mut flags = 0;
    let found = of_group(file_system, kind::QGROUP_STATUS, 0, |item| flags = item.u64_at(16).unwrap_or(0));
    match found.map_err(|error| (Errno::from_io_error(&error), error)) {
        // No quota tree.
        Err((Some(Errno::NOENT), _)) => Ok(None),
        Err((_, error)) => Err(error),
        Ok(()) if flags & STATUS_ON == 0 => Ok(None),
        Ok(()) if flags & STATUS_SIMPLE != 0 => Ok(Some(Mode::Simple)),
        Ok(()) => Ok(Some(Mode::Full)),
    }
}

fn of_group(file_system: impl AsFd, kind: u8, group: u64, tell: impl FnMut(super::search::Item<'_>)) -> io::Result<()> {
    let key = Key { object: 0, kind, offset: group };
    search(file_system, &Range { tree: tree::QUOTA, first: key, last: key, since: 0 }, tell)
}

/// Switches quotas on for the whole file system: simple ones where the kernel has them.
///
/// # Errors
/// The ioctls'.
pub fn enable(file_system: impl AsFd) -> io::Result<Mode> {
    match control(&file_system, ENABLE_SIMPLE) {
        Ok(()) => Ok(Mode::Simple),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
            control(&file_system, ENABLE)?;
            // What is there already is counted in the background.
            // SAFETY: BTRFS_IOC_QUOTA_RESCAN_WAIT takes no argument and touches no memory of ours.
            unsafe { ioctl::ioctl(&file_system, NoArg::<QUOTA_RESCAN_WAIT>::new()) }?;
            Ok(Mode::Full)
        }
        Err(error) => Err(error),
    }
}

fn control(file_system: impl AsFd, command: u64) -> io::Result<()> {
    let mut args = ControlArgs { command, status: 0 };
    // SAFETY: the opcode reads and writes one `struct btrfs_ioctl_quota_ctl_args`, which `ControlArgs` mirrors (its size is
    // asserted) and which `Updater` borrows for the call.
    Ok(unsafe { ioctl::ioctl(file_system, Updater::<QUOTA_CTL, ControlArgs>::new(&mut args)) }?)
}

/// Limits what a subvolume may hold for itself, beyond what it shares with others.
///
/// # Errors
/// The ioctl's: `ENOTCONN` when quotas are off.
pub fn limit(subvolume: impl AsFd, bytes: u64) -> io::Result<()> {
    let args = LimitArgs {
        id: 0, // The group of the subvolume that the descriptor is in.
        flags: LIMIT_MAX_EXCLUSIVE,
        max_referenced: 0,
        max_exclusive: bytes,
        reserved_referenced: 0,
        reserved_exclusive: 0,
    };
    let fd = subvolume.as_fd().as_raw_fd();
    // SAFETY: in spite of its number, which says otherwise, the call reads one `struct btrfs_ioctl_qgroup_limit_args`, which
    // `LimitArgs` mirrors (its size is asserted) and which is alive for the call.
    let result = unsafe { libc::ioctl(fd, QGROUP_LIMIT as _, &raw const args) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The limit of a subvolume's quota group; `None` when it has none.
///
/// # Errors
/// The ioctl's: `ENOENT` when quotas are off.
pub fn limit_of(file_system: impl AsFd, id: u64) -> io::Result<Option<u64>> {
    let mut found = None;
    of_group(file_system, kind::QGROUP_LIMIT, id, |item| {
        let is_set = item.u64_at(0).is_some_and(|flags| flags & LIMIT_MAX_EXCLUSIVE != 0);
        found = item.u64_at(16).filter(|_| is_set);
    })?;
    Ok(found)
}

/// What a subvolume's quota group counts, as last committed; `None` when it has no group.
///
/// # Errors
/// The ioctl's: `ENOENT` when quotas are off.
pub fn counted(file_system: impl AsFd, id: u64) -> io::Result<Option<Counted>> {
    let mut found = None;
    of_group(file_system, kind::QGROUP_INFO, id, |item| {
        let number = |at| item.u64_at(at).unwrap_or(0);
        found = Some(Counted { referenced: number(8), exclusive: number(24) });
    })?;
    Ok(found)
}

/// Removes the quota group of a subvolume that is deleted, dropped by the cleaner, and that in a committed transaction.
/// Since Linux 6.11 the kernel tries to do that, but not always when all is counted back yet; before, the group stays for ever.
///
/// # Errors
/// The ioctl's: `ENOENT` when it is gone, `EBUSY` when something is still counted in it, `ENOTCONN` when quotas are off.
pub fn forget(file_system: impl AsFd, id: u64) -> io::Result<()> {
    let args = CreateArgs { create: 0, id };
    // SAFETY: the opcode reads one `struct btrfs_ioctl_qgroup_create_args`, which `CreateArgs` mirrors (its size is asserted).
    Ok(unsafe { ioctl::ioctl(file_system, Setter::<QGROUP_CREATE, CreateArgs>::new(args)) }?)
}

/// Removes the quota groups of all subvolumes of the file system that are no more, as `btrfs qgroup clear-stale` does.
///
/// # Errors
/// The ioctls'. A group in which something is still counted is no error, and stays.
pub fn forget_stale(file_system: impl AsFd) -> io::Result<()> {
    let key = |object, kind, offset| Key { object, kind, offset };
    let mut stale = BTreeSet::new();
    // A group of groups has a level in its number's upper bits (btrfs_qgroup_level).
    let (first, last) = (key(0, kind::QGROUP_INFO, ROOT_INODE), key(0, kind::QGROUP_INFO, (1 << 48) - 1));
    search(&file_system, &Range { tree: tree::QUOTA, first, last, since: 0 }, |item| {
        stale.insert(item.key.offset);
    })?;
    let (first, last) = (key(ROOT_INODE, kind::ROOT_ITEM, 0), key(1 << 48, kind::ROOT_ITEM, u64::MAX));
    search(&file_system, &Range { tree: tree::ROOTS, first, last, since: 0 }, |item| {
        stale.remove(&item.key.object);
    })?;
    if stale.is_empty() {
        return Ok(());
    }
    // What a subvolume allocated and gave back in a transaction that is still open is not counted yet: its group looks empty, can be
    // removed, and when it is missed later the kernel gives the whole file system up (seen on 6.18 with simple quotas).
    sync(&file_system)?;
    for id in stale {
        match forget(&file_system, id).map_err(|error| (Errno::from_io_error(&error), error)) {
            Ok(()) | Err((Some(Errno::BUSY | Errno::NOENT), _)) => {}
            Err((_, error)) => return Err(error),
        }
    }
    Ok(())
}

const _: () = assert!(size_of::<ControlArgs>() == 16);
const _: () = assert!(size_of::<CreateArgs>() == 16);
const _: () = assert!(size_of::<LimitArgs>() == 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_are_the_kernels() {
        assert_eq!(QUOTA_CTL, 0xc010_9428);
        assert_eq!(QGROUP_CREATE, 0x4010_942a);
        assert_eq!(QGROUP_LIMIT, 0x8030_942b);
        assert_eq!(QUOTA_RESCAN_WAIT, 0x942e);
    }
}
