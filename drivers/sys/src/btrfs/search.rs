//! Reading a file system's trees item by item (`BTRFS_IOC_TREE_SEARCH_V2`).
#![allow(unsafe_code)]

use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd},
};

use rustix::ioctl::{self, opcode};

use super::MAGIC;

/// `struct btrfs_ioctl_search_key`.
#[derive(Clone, Copy)]
#[repr(C)]
struct SearchKey {
    tree: u64,
    min_object: u64,
    max_object: u64,
    min_offset: u64,
    max_offset: u64,
    min_transid: u64,
    max_transid: u64,
    min_type: u32,
    max_type: u32,
    items: u32,
    unused: u32,
    unused_more: [u64; 4],
}

/// `struct btrfs_ioctl_search_args_v2`, without the buffer that follows it.
#[derive(Clone, Copy)]
#[repr(C)]
struct SearchHead {
    key: SearchKey,
    buffer: u64,
}

/// The same with its buffer, which holds the largest item of the largest metadata block (64 KiB) and its header.
#[repr(C)]
struct SearchArgs {
    head: SearchHead,
    buffer: [u8; BUFFER],
}

const BUFFER: usize = 128 * 1024;
/// `struct btrfs_ioctl_search_header`: transaction, object, offset, type, length.
const HEADER: usize = 32;

const TREE_SEARCH_V2: ioctl::Opcode = opcode::read_write::<SearchHead>(MAGIC, 17);

/// Numbers of trees that every file system has (linux/btrfs_tree.h); a subvolume's is its own number.
pub mod tree {
    /// The tree of trees.
    pub const ROOTS: u64 = 1;
    /// Quota groups; there only while quotas are on.
    pub const QUOTA: u64 = 8;
}

/// Kinds of items (linux/btrfs_tree.h, `BTRFS_*_KEY`).
pub mod kind {
    /// An inode.
    pub const INODE_ITEM: u8 = 1;
    /// A name of an inode.
    pub const INODE_REF: u8 = 12;
    /// A name of an inode that has many.
    pub const INODE_EXTREF: u8 = 13;
    /// A piece of a file.
    pub const EXTENT_DATA: u8 = 108;
    /// A tree.
    pub const ROOT_ITEM: u8 = 132;
    /// A subvolume within another.
    pub const ROOT_REF: u8 = 156;
    /// Whether quotas are on.
    pub const QGROUP_STATUS: u8 = 240;
    /// What a quota group holds.
    pub const QGROUP_INFO: u8 = 242;
    /// What a quota group may hold.
    pub const QGROUP_LIMIT: u8 = 244;
}

/// An item's place in its tree; they are sorted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// An inode number, or what else the item belongs to.
    pub object: u64,
    /// One of [`kind`].
    pub kind: u8,
    /// Depends on the kind.
    pub offset: u64,
}

impl Key {
    /// The least of all.
    pub const FIRST: Self = Self { object: 0, kind: 0, offset: 0 };
    /// The greatest of all.
    pub const LAST: Self = Self { object: u64::MAX, kind: u8::MAX, offset: u64::MAX };

    /// The key after this one, unless it is the last.
    fn next(self) -> Option<Self> {
        match (self.offset.checked_add(1), self.kind.checked_add(1), self.object.checked_add(1)) {
            (Some(offset), _, _) => Some(Self { offset, ..self }),
            (None, Some(kind), _) => Some(Self { kind, offset: 0, ..self }),
            (None, None, Some(object)) => Some(Self { object, kind: 0, offset: 0 }),
            (None, None, None) => None,
        }
    }
}

/// Which items are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// One of [`tree`], a subvolume's number, or 0 for the subvolume that the descriptor is in.
    pub tree: u64,
    /// The first key.
    pub first: Key,
    /// The last key; all items between the two are told, of whatever kind.
    pub last: Key,
    /// Only items in metadata blocks that this transaction or a later one wrote. The kernel skips older branches of the
    /// tree as a whole, and tells everything in a block that is young enough, old items too.
    pub since: u64,
}

/// An item of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// Where it is.
    pub key: Key,
    /// Its content, little-endian and without padding (linux/btrfs_tree.h).
    pub data: &'a [u8],
}

impl Item<'_> {
    /// The number at `offset` of the content.
    #[must_use]
    pub fn u64_at(&self, offset: usize) -> Option<u64> {
        self.data.get(offset..)?.first_chunk().copied().map(u64::from_le_bytes)
    }

    /// The number at `offset` of the content.
    #[must_use]
    pub fn u16_at(&self, offset: usize) -> Option<u16> {
        self.data.get(offset..)?.first_chunk().copied().map(u16::from_le_bytes)
    }
}

/// Tells `tell` all items of a range, in order.
///
/// What is not yet committed may be missing.
///
/// # Errors
/// The ioctl's: `EPERM` without `CAP_SYS_ADMIN`, `ENOENT` when there is no such tree.
pub fn search(file_system: impl AsFd, range: &Range, mut tell: impl FnMut(Item<'_>)) -> io::Result<()> {
    let mut args = Box::new(SearchArgs { head: head(range, range.first), buffer: [0; BUFFER] });
    let mut from = Some(range.first);
    while let Some(first) = from.filter(|first| *first <= range.last) {
        args.head = head(range, first);
        once(&file_system, &mut args)?;
        let mut rest = args.buffer.as_slice();
        let mut last = None;
        for _ in 0..args.head.key.items {
            let (item, after) = parse(rest).ok_or_else(|| io::Error::other("the kernel told half an item"))?;
            tell(item);
            last = Some(item.key);
            rest = after;
        }
        from = last.and_then(Key::next);
    }
    Ok(())
}

fn head(range: &Range, first: Key) -> SearchHead {
    let key = SearchKey {
        tree: range.tree,
        min_object: first.object,
        max_object: range.last.object,
        min_offset: first.offset,
        max_offset: range.last.offset,
        min_transid: range.since,
        max_transid: u64::MAX,
        min_type: first.kind.into(),
        max_type: range.last.kind.into(),
        items: u32::MAX,
        unused: 0,
        unused_more: [0; 4],
    };
    SearchHead { key, buffer: BUFFER as u64 }
}

fn once(file_system: impl AsFd, args: &mut SearchArgs) -> io::Result<()> {
    let fd = file_system.as_fd().as_raw_fd();
    // SAFETY: the opcode reads and writes one `struct btrfs_ioctl_search_args_v2`, which `SearchArgs` mirrors (the size of
    // its head is asserted), and as many bytes after it as `buffer` says, which are there.
    let result = unsafe { libc::ioctl(fd, TREE_SEARCH_V2 as _, std::ptr::from_mut(args)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An item behind its header, and what follows.
fn parse(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let u64_at = |at: usize| header.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes);
    let u32_at = |at: usize| header.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes);
    let key = Key { object: u64_at(8)?, kind: u8::try_from(u32_at(24)?).ok()?, offset: u64_at(16)? };
    let (data, rest) = rest.split_at_checked(usize::try_from(u32_at(28)?).ok()?)?;
    Some((Item { key, data }, rest))
}

const _: () = assert!(size_of::<SearchKey>() == 104);
const _: () = assert!(size_of::<SearchHead>() == 112);
const _: () = assert!(size_of::<SearchArgs>() == 112 + BUFFER);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ioctl_number_is_the_kernels() {
        assert_eq!(TREE_SEARCH_V2, 0xc070_9411);
    }

    #[test]
    fn keys_count_up_across_their_parts() {
        let key = |object, kind, offset| Key { object, kind, offset };
        assert_eq!(key(1, 2, 3).next(), Some(key(1, 2, 4)));
        assert_eq!(key(1, 2, u64::MAX).next(), Some(key(1, 3, 0)));
        assert_eq!(key(1, u8::MAX, u64::MAX).next(), Some(key(2, 0, 0)));
        assert_eq!(Key::LAST.next(), None);
    }

    #[test]
    fn items_are_cut_off_one_by_one() {
        let mut bytes = Vec::new();
        for number in [7_u64, 257, 9] {
            bytes.extend(number.to_ne_bytes());
        }
        for number in [1_u32, 3] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(*b"abcdef");
        let (item, rest) = parse(&bytes).unwrap();
        assert_eq!(item, Item { key: Key { object: 257, kind: 1, offset: 9 }, data: b"abc" });
        assert_eq!(rest, b"def");
        assert!(parse(&bytes[..34]).is_none());
        assert_eq!((item.u16_at(1), item.u16_at(2), item.u64_at(0)), (Some(0x6362), None, None));
    }
}
