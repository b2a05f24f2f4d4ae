//! btrfs: subvolumes, snapshots, tree search, quota groups and waiting for space, by ioctl (linux/btrfs.h, btrfs-ioctl(2)).
//!
//! Needs Linux 5.7, the first that deletes a subvolume by its id. What only newer kernels have is asked for and done
//! without elsewhere. Nearly all of it needs root.

pub mod quota;
mod remove;
mod search;
mod subvolume;
mod sync;

pub use remove::{destroy, remove_tree};
pub use search::{Item, Key, Range, kind, search, tree};
pub use subvolume::{
    Geometry, Info, Nested, create, geometry, info, is_btrfs, is_read_only, is_subvolume, nested, open_by_id,
    path_within, set_read_only, snapshot,
};
pub use sync::{sync, wait_for_cleaner};

/// `BTRFS_IOCTL_MAGIC`.
const MAGIC: u8 = 0x94;

/// The inode number of every subvolume's root directory (`BTRFS_FIRST_FREE_OBJECTID`); files have higher ones.
pub const ROOT_INODE: u64 = 256;
