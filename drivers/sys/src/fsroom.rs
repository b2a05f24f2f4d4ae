//! How much room ext4 and xfs have and give: growing a mounted file system, and holding a part of it back from everybody.
#![allow(unsafe_code)]

use std::{fs::File, io};

use rustix::ioctl::{self, Getter, Setter, Updater, opcode};

/// fs/ext4/ext4.h; linux/ext4.h since Linux 5.19.
const EXT4_IOC_RESIZE_FS: ioctl::Opcode = opcode::write::<u64>(b'f', 16);
/// fs/xfs/libxfs/xfs_fs.h.
const XFS_IOC_FSGEOMETRY_V1: ioctl::Opcode = opcode::read::<XfsGeometry>(b'X', 100);
const XFS_IOC_FSGROWFSDATA: ioctl::Opcode = opcode::write::<XfsGrow>(b'X', 110);
const XFS_IOC_SET_RESBLKS: ioctl::Opcode = opcode::read_write::<XfsReserved>(b'X', 114);
const XFS_IOC_GET_RESBLKS: ioctl::Opcode = opcode::read::<XfsReserved>(b'X', 115);

/// `struct xfs_fsop_geom_v1`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct XfsGeometry {
    block_size: u32,
    before: [u32; 6],
    inode_percent: u32,
    data_blocks: u64,
    after: [u64; 9],
}

/// `struct xfs_growfs_data`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct XfsGrow {
    blocks: u64,
    inode_percent: u32,
}

/// `struct xfs_fsop_resblks`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct XfsReserved {
    wanted: u64,
    available: u64,
}

const _: () = assert!(size_of::<XfsGeometry>() == 112);
const _: () = assert!(size_of::<XfsGrow>() == 16);
const _: () = assert!(size_of::<XfsReserved>() == 16);

/// Grows the mounted ext4 that `inside` is on to this many of its blocks; growing to the size that it has does nothing.
///
/// # Errors
/// `EINVAL` or `EPERM` when it was made such that it cannot grow so far; `ENOTTY` when it is no ext4.
pub fn grow_ext4(inside: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: EXT4_IOC_RESIZE_FS reads one u64, and `Setter` passes a pointer to one.
    Ok(unsafe { ioctl::ioctl(inside, Setter::<EXT4_IOC_RESIZE_FS, u64>::new(blocks)) }?)
}

/// Grows the mounted xfs that `inside` is on to as many of its blocks as `bytes` hold.
///
/// # Errors
/// `EINVAL` when that is smaller than it is; `ENOTTY` when it is no xfs.
pub fn grow_xfs(inside: &File, bytes: u64) -> io::Result<()> {
    // SAFETY: XFS_IOC_FSGEOMETRY_V1 writes one `struct xfs_fsop_geom_v1`, which `XfsGeometry` mirrors (its size is
    // asserted, and all its fields are integers), into memory that `Getter` provides.
    let geometry = unsafe { ioctl::ioctl(inside, Getter::<XFS_IOC_FSGEOMETRY_V1, XfsGeometry>::new()) }?;
    let blocks = bytes / u64::from(geometry.block_size.max(1));
    if blocks == geometry.data_blocks {
        return Ok(());
    }
    let grow = XfsGrow { blocks, inode_percent: geometry.inode_percent };
    // SAFETY: XFS_IOC_FSGROWFSDATA reads one `struct xfs_growfs_data`, which `XfsGrow` mirrors (its size is asserted).
    Ok(unsafe { ioctl::ioctl(inside, Setter::<XFS_IOC_FSGROWFSDATA, XfsGrow>::new(grow)) }?)
}

/// Holds this many of the free blocks of the mounted xfs that `inside` is on back, even from root, until it is unmounted;
/// the file system's own reserve, which does not count as free, stays beside.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `ENOTTY` when it is no xfs.
pub fn reserve_xfs(inside: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: XFS_IOC_GET_RESBLKS writes one `struct xfs_fsop_resblks`, which `XfsReserved` mirrors (its size is asserted,
    // and its fields are integers), into memory that `Getter` provides.
    let own = unsafe { ioctl::ioctl(inside, Getter::<XFS_IOC_GET_RESBLKS, XfsReserved>::new()) }?;
    let mut reserved = XfsReserved { wanted: own.wanted.saturating_add(blocks), available: 0 };
    // SAFETY: XFS_IOC_SET_RESBLKS reads and writes one `struct xfs_fsop_resblks`, which `XfsReserved` mirrors; it is
    // borrowed mutably for the call.
    unsafe { ioctl::ioctl(inside, Updater::<XFS_IOC_SET_RESBLKS, XfsReserved>::new(&mut reserved)) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
    fn the_ioctl_numbers_are_the_kernels() {
        assert_eq!(EXT4_IOC_RESIZE_FS, 0x4008_6610);
        assert_eq!(XFS_IOC_FSGEOMETRY_V1, 0x8070_5864);
        assert_eq!(XFS_IOC_FSGROWFSDATA, 0x4010_586e);
        assert_eq!(XFS_IOC_SET_RESBLKS, 0xc010_5872);
        assert_eq!(XFS_IOC_GET_RESBLKS, 0x8010_5873);
    }

    #[test]
    fn other_file_systems_know_nothing_of_it() {
        let proc = File::open("/proc/self/status").unwrap();
        for answer in [grow_ext4(&proc, 1), grow_xfs(&proc, 1), reserve_xfs(&proc, 1)] {
            assert_eq!(answer.unwrap_err().raw_os_error(), Some(libc::ENOTTY));
        }
    }
}
