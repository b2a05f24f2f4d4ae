//! Subvolumes: making them, snapshots of them, what is known of them.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, OsStr},
    io,
    mem::{offset_of, size_of},
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
};

use rustix::{
    fs::{OFlags, fstat, fstatfs},
    io::Errno,
    ioctl::{self, Getter, Setter, Updater, opcode},
};

use super::{
    MAGIC, ROOT_INODE,
    search::{Key, Range, kind, search, tree},
};

/// `struct btrfs_ioctl_vol_args`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct VolArgs {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`; its last part is a name, or an id at the name's start.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct VolArgsV2 {
    pub fd: i64,
    pub transid: u64,
    pub flags: u64,
    pub unused: [u64; 4],
    pub name: [u8; 4040],
}

/// `struct btrfs_ioctl_timespec`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Timespec {
    sec: u64,
    nsec: u32,
}

/// `struct btrfs_ioctl_get_subvol_info_args`.
#[derive(Clone, Copy)]
#[repr(C)]
struct InfoArgs {
    treeid: u64,
    name: [u8; 256],
    parent_id: u64,
    dirid: u64,
    generation: u64,
    flags: u64,
    uuid: [u8; 16],
    parent_uuid: [u8; 16],
    received_uuid: [u8; 16],
    ctransid: u64,
    otransid: u64,
    stransid: u64,
    rtransid: u64,
    ctime: Timespec,
    otime: Timespec,
    stime: Timespec,
    rtime: Timespec,
    reserved: [u64; 8],
}

/// `struct btrfs_ioctl_get_subvol_rootref_args`.
#[derive(Clone, Copy)]
#[repr(C)]
struct RootRefArgs {
    min_treeid: u64,
    refs: [[u64; 2]; 255],
    num_items: u8,
    align: [u8; 7],
}

/// `struct btrfs_ioctl_ino_lookup_args`.
#[derive(Clone, Copy)]
#[repr(C)]
struct LookupArgs {
    treeid: u64,
    objectid: u64,
    name: [u8; 4080],
}

/// `struct btrfs_ioctl_fs_info_args`, as far as it is read here.
#[derive(Clone, Copy)]
#[repr(C)]
struct FsInfoArgs {
    max_id: u64,
    num_devices: u64,
    fsid: [u8; 16],
    nodesize: u32,
    sectorsize: u32,
    rest: [u8; 984],
}

const SUBVOL_CREATE: ioctl::Opcode = opcode::write::<VolArgs>(MAGIC, 14);
const INO_LOOKUP: ioctl::Opcode = opcode::read_write::<LookupArgs>(MAGIC, 18);
const SNAP_CREATE_V2: ioctl::Opcode = opcode::write::<VolArgsV2>(MAGIC, 23);
const SUBVOL_GETFLAGS: ioctl::Opcode = opcode::read::<u64>(MAGIC, 25);
const SUBVOL_SETFLAGS: ioctl::Opcode = opcode::write::<u64>(MAGIC, 26);
const FS_INFO: ioctl::Opcode = opcode::read::<FsInfoArgs>(MAGIC, 31);
const GET_SUBVOL_INFO: ioctl::Opcode = opcode::read::<InfoArgs>(MAGIC, 60);
const GET_SUBVOL_ROOTREF: ioctl::Opcode = opcode::read_write::<RootRefArgs>(MAGIC, 61);

const SUBVOL_RDONLY: u64 = 1 << 1;
/// `BTRFS_SUPER_MAGIC` (linux/magic.h).
const SUPER_MAGIC: u64 = 0x9123_683E;

/// What is known of a subvolume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Its number, which also is the number of its tree.
    pub id: u64,
    /// The subvolume that it lies in; 0 for the top one.
    pub parent: u64,
    /// The transaction that changed anything of it last, being snapshotted included.
    pub generation: u64,
    /// Identifies it.
    pub uuid: [u8; 16],
    /// The subvolume that it was made of; all zero when it is no snapshot.
    pub source_uuid: [u8; 16],
    /// The transaction that changed a file or directory in it last.
    pub changed: u64,
    /// The transaction that made it.
    pub origin: u64,
}

/// A subvolume within another, directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nested {
    /// Its number.
    pub id: u64,
    /// The inode number of the directory that it is in.
    pub directory: u64,
}

/// Sizes that a file system was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a metadata block.
    pub node: u32,
    /// Bytes of the smallest piece of data.
    pub sector: u32,
}

/// Whether a descriptor is on btrfs.
///
/// # Errors
/// fstatfs(2)'s.
#[allow(clippy::unnecessary_cast, reason = "the field's type differs between architectures")]
pub fn is_btrfs(fd: impl AsFd) -> io::Result<bool> {
    Ok(fstatfs(fd)?.f_type as u64 & 0xffff_ffff == SUPER_MAGIC)
}

/// Whether a descriptor is the root directory of a subvolume.
///
/// # Errors
/// fstat(2)'s and fstatfs(2)'s.
pub fn is_subvolume(fd: impl AsFd) -> io::Result<bool> {
    Ok(fstat(&fd)?.st_ino == ROOT_INODE && is_btrfs(fd)?)
}

/// Makes an empty subvolume called `name` in an open directory.
///
/// # Errors
/// The ioctl's; `ENAMETOOLONG` for a name of more than 255 bytes.
pub fn create(directory: impl AsFd, name: &OsStr) -> io::Result<()> {
    let args = VolArgs { fd: 0, name: padded(name)? };
    // SAFETY: the opcode reads one `struct btrfs_ioctl_vol_args`, which `VolArgs` mirrors (its size is asserted).
    Ok(unsafe { ioctl::ioctl(directory, Setter::<SUBVOL_CREATE, VolArgs>::new(args)) }?)
}

/// Makes a snapshot of the subvolume `source`, called `name`, in an open directory of the same file system.
///
/// What `source` holds is written out first, and the snapshot is durable when this returns.
///
/// # Errors
/// The ioctl's; `ENAMETOOLONG` for a name of more than 255 bytes.
pub fn snapshot(source: impl AsFd, directory: impl AsFd, name: &OsStr, read_only: bool) -> io::Result<()> {
    let flags = if read_only { SUBVOL_RDONLY } else { 0 };
    let fd = source.as_fd().as_raw_fd().into();
    let args = VolArgsV2 { fd, transid: 0, flags, unused: [0; 4], name: padded(name)? };
    // SAFETY: the opcode reads one `struct btrfs_ioctl_vol_args_v2`, which `VolArgsV2` mirrors (its size is asserted);
    // the descriptor in it is open for the call.
    Ok(unsafe { ioctl::ioctl(directory, Setter::<SNAP_CREATE_V2, VolArgsV2>::new(args)) }?)
}

fn padded<const N: usize>(name: &OsStr) -> io::Result<[u8; N]> {
    const NAME_MAX: usize = 255;
    let bytes = name.as_bytes();
    if bytes.len() > NAME_MAX {
        return Err(Errno::NAMETOOLONG.into());
    }
    let mut padded = [0; N];
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(padded)
}

/// Whether the kernel refuses writes to a subvolume, whoever asks.
///
/// # Errors
/// The ioctl's; `EINVAL` when it is no subvolume's root.
pub fn is_read_only(subvolume: impl AsFd) -> io::Result<bool> {
    Ok(flags(subvolume)? & SUBVOL_RDONLY != 0)
}

fn flags(subvolume: impl AsFd) -> io::Result<u64> {
    // SAFETY: the opcode writes one `u64` into memory that `Getter` provides.
    Ok(unsafe { ioctl::ioctl(subvolume, Getter::<SUBVOL_GETFLAGS, u64>::new()) }?)
}

/// Makes a subvolume read-only or writable again, durably.
///
/// # Errors
/// The ioctl's; `EINVAL` when it is no subvolume's root.
pub fn set_read_only(subvolume: impl AsFd, read_only: bool) -> io::Result<()> {
    let old = flags(&subvolume)?;
    let new = if read_only { old | SUBVOL_RDONLY } else { old & !SUBVOL_RDONLY };
    if new == old {
        return Ok(());
    }
    // SAFETY: the opcode reads one `u64` from the value that `Setter` holds.
    Ok(unsafe { ioctl::ioctl(subvolume, Setter::<SUBVOL_SETFLAGS, u64>::new(new)) }?)
}

/// What is known of the subvolume that a descriptor is in.
///
/// # Errors
/// The ioctl's.
pub fn info(subvolume: impl AsFd) -> io::Result<Info> {
    // SAFETY: the opcode writes one `struct btrfs_ioctl_get_subvol_info_args`, which `InfoArgs` mirrors (its size is
    // asserted), into memory that `Getter` provides.
    let found = unsafe { ioctl::ioctl(subvolume, Getter::<GET_SUBVOL_INFO, InfoArgs>::new()) }?;
    Ok(Info {
        id: found.treeid,
        parent: found.parent_id,
        generation: found.generation,
        uuid: found.uuid,
        source_uuid: found.parent_uuid,
        changed: found.ctransid,
        origin: found.otransid,
    })
}

/// The subvolumes directly within a subvolume, by number.
///
/// # Errors
/// The ioctl's.
pub fn nested(subvolume: impl AsFd) -> io::Result<Vec<Nested>> {
    let mut found = Vec::new();
    let mut args = Box::new(RootRefArgs { min_treeid: 0, refs: [[0; 2]; 255], num_items: 0, align: [0; 7] });
    loop {
        // SAFETY: the opcode reads and writes one `struct btrfs_ioctl_get_subvol_rootref_args`, which `RootRefArgs`
        // mirrors (its size is asserted) and which `Updater` borrows for the call.
        let answer =
            unsafe { ioctl::ioctl(&subvolume, Updater::<GET_SUBVOL_ROOTREF, RootRefArgs>::new(args.as_mut())) };
        // There are more than fit; the kernel has put the next number into `min_treeid`.
        let more = answer == Err(Errno::OVERFLOW);
        if !more {
            answer?;
        }
        let refs = &args.refs[..usize::from(args.num_items)];
        found.extend(refs.iter().map(|&[id, directory]| Nested { id, directory }));
        if !more {
            return Ok(found);
        }
    }
}

/// Where a nested subvolume lies within its parent, in which the descriptor is.
///
/// # Errors
/// The ioctls'; `ENAMETOOLONG` for a path longer than 4080 bytes; `ENOENT` when it has gone away.
pub fn path_within(subvolume: impl AsFd, nested: &Nested) -> io::Result<PathBuf> {
    let (parent, directory) = lookup(&subvolume, nested.directory)?;
    let key = Key { object: parent, kind: kind::ROOT_REF, offset: nested.id };
    let range = Range { tree: tree::ROOTS, first: key, last: key, since: 0 };
    let mut name = None;
    search(subvolume, &range, |item| {
        // `struct btrfs_root_ref`: directory, sequence, length of the name, the name.
        name = item.u16_at(16).and_then(|length| item.data.get(18..18 + usize::from(length))).map(<[u8]>::to_vec);
    })?;
    let name = name.ok_or(Errno::NOENT)?;
    Ok(directory.join(OsStr::from_bytes(&name)))
}

/// Where a directory lies within the subvolume that the descriptor is in, and that subvolume's number.
pub(super) fn lookup(subvolume: impl AsFd, directory: u64) -> io::Result<(u64, PathBuf)> {
    let mut args = Box::new(LookupArgs { treeid: 0, objectid: directory, name: [0; 4080] });
    // SAFETY: the opcode reads and writes one `struct btrfs_ioctl_ino_lookup_args`, which `LookupArgs` mirrors (its size
    // is asserted) and which `Updater` borrows for the call.
    unsafe { ioctl::ioctl(subvolume, Updater::<INO_LOOKUP, LookupArgs>::new(args.as_mut())) }?;
    // The kernel ends it with a slash, and gives nothing for the root directory.
    let path = CStr::from_bytes_until_nul(&args.name).map_err(|_| Errno::NAMETOOLONG)?;
    Ok((args.treeid, PathBuf::from(OsStr::from_bytes(path.to_bytes()))))
}

/// The file handle of an inode (fs/btrfs/export.c: `struct btrfs_fid`, type `FILEID_BTRFS_WITHOUT_PARENT`), in what
/// open_by_handle_at(2) takes.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    inode: [u32; 2],
    subvolume: [u32; 2],
    generation: u32,
}

/// Opens a subvolume's root directory by its number, wherever it lies; `file_system` is anything on the same file system.
///
/// # Errors
/// open_by_handle_at(2)'s; `ESTALE` when there is no such subvolume.
pub fn open_by_id(file_system: impl AsFd, id: u64) -> io::Result<OwnedFd> {
    // Generation 0 stands for any since Linux 6.2; before, it must be the root directory's own.
    match open_generation(&file_system, id, 0) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::STALE) => {
            open_generation(&file_system, id, generation(&file_system, id)?)
        }
        opened => opened,
    }
}

/// In which transaction a subvolume's root directory was made.
fn generation(file_system: impl AsFd, id: u64) -> io::Result<u64> {
    let key = Key { object: ROOT_INODE, kind: kind::INODE_ITEM, offset: 0 };
    let mut found = None;
    // `struct btrfs_inode_item` begins with it.
    let looked =
        search(file_system, &Range { tree: id, first: key, last: key, since: 0 }, |item| found = item.u64_at(0));
    match looked.map_err(|error| (Errno::from_io_error(&error), error)) {
        Err((Some(Errno::NOENT), _)) => Err(Errno::STALE.into()),
        Err((_, error)) => Err(error),
        Ok(()) => found.ok_or_else(|| Errno::STALE.into()),
    }
}

fn open_generation(file_system: impl AsFd, id: u64, generation: u64) -> io::Result<OwnedFd> {
    const WITHOUT_PARENT: i32 = 0x4d;
    let halves = |number: u64| {
        let [a, b, c, d, e, f, g, h] = number.to_ne_bytes();
        [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
    };
    let [generation, _] = halves(generation);
    let handle =
        Handle { bytes: 20, kind: WITHOUT_PARENT, inode: halves(ROOT_INODE), subvolume: halves(id), generation };
    let flags = (OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC).bits().cast_signed();
    let mount = file_system.as_fd().as_raw_fd();
    // SAFETY: open_by_handle_at(2) reads a `struct file_handle` whose header says how many bytes follow it; `Handle` is
    // one with its 20 bytes (asserted), alive for the call.
    let fd = unsafe { libc::syscall(libc::SYS_open_by_handle_at, mount, &raw const handle, flags) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The sizes of a file system.
///
/// # Errors
/// The ioctl's.
pub fn geometry(file_system: impl AsFd) -> io::Result<Geometry> {
    let mut found = FsInfoArgs { max_id: 0, num_devices: 0, fsid: [0; 16], nodesize: 0, sectorsize: 0, rest: [0; 984] };
    // SAFETY: the opcode reads and writes one `struct btrfs_ioctl_fs_info_args`, which `FsInfoArgs` mirrors (its size is
    // asserted) and which `Updater` borrows for the call.
    unsafe { ioctl::ioctl(file_system, Updater::<FS_INFO, FsInfoArgs>::new(&mut found)) }?;
    Ok(Geometry { node: found.nodesize, sector: found.sectorsize })
}

const _: () = assert!(size_of::<VolArgs>() == 4096);
const _: () = assert!(size_of::<VolArgsV2>() == 4096);
const _: () = assert!(size_of::<InfoArgs>() == 504);
const _: () = assert!(offset_of!(InfoArgs, ctransid) == 344);
const _: () = assert!(size_of::<RootRefArgs>() == 4096);
const _: () = assert!(size_of::<LookupArgs>() == 4096);
const _: () = assert!(size_of::<FsInfoArgs>() == 1024);
const _: () = assert!(size_of::<Handle>() == 28 && offset_of!(Handle, inode) == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_numbers_are_the_kernels() {
        assert_eq!(SUBVOL_CREATE, 0x5000_940e);
        assert_eq!(INO_LOOKUP, 0xd000_9412);
        assert_eq!(SNAP_CREATE_V2, 0x5000_9417);
        assert_eq!(SUBVOL_GETFLAGS, 0x8008_9419);
        assert_eq!(SUBVOL_SETFLAGS, 0x4008_941a);
        assert_eq!(FS_INFO, 0x8400_941f);
        assert_eq!(GET_SUBVOL_INFO, 0x81f8_943c);
        assert_eq!(GET_SUBVOL_ROOTREF, 0xd000_943d);
    }

    #[test]
    fn names_are_checked_before_the_kernel_is_asked() {
        let dir = std::fs::File::open("/").unwrap();
        let long = "x".repeat(256);
        let refused = create(&dir, OsStr::new(&long)).unwrap_err();
        assert_eq!(Errno::from_io_error(&refused), Some(Errno::NAMETOOLONG));
        assert!(!is_subvolume(std::fs::File::open("/proc").unwrap()).unwrap());
    }
}
