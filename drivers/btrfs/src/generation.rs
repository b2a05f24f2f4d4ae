//! What the file system says of the changes since a snapshot.

use std::{collections::HashSet, fs::File, io, path::Path};

use storage_layer::since::Snapshot;
use storage_sys::btrfs::{self, Item, Key, Range, kind};

/// A subvolume that began as a snapshot, and the transaction that made it.
#[derive(Debug)]
pub struct Generation {
    subvolume: File,
    origin: u64,
}

impl Generation {
    /// Of the snapshot at `upper` of what is at `lower`; `None` where trees tell more than generations do:
    /// - it is no snapshot of `lower`, as after a backup was put back;
    /// - `lower` has been changed since;
    /// - there are subvolumes nested in `upper`, whose content is not in its own tree.
    pub fn of(lower: &Path, upper: &Path) -> io::Result<Option<Self>> {
        let subvolume = File::open(upper)?;
        let (upper, lower) = (btrfs::info(&subvolume)?, btrfs::info(File::open(lower)?)?);
        let applies = upper.source_uuid == lower.uuid && lower.changed <= upper.origin;
        if !applies || !btrfs::nested(&subvolume)?.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { subvolume, origin: upper.origin }))
    }

    /// Has what was done so far committed, since only that is found.
    pub fn commit(&self) -> io::Result<()> {
        btrfs::sync(&self.subvolume)
    }
}

impl Snapshot for Generation {
    /// Every change of an inode rewrites its item, with the number of the transaction (fs/btrfs/inode.c,
    /// `fill_inode_item`): of attributes, xattrs, names, entries of a directory, and of a file's extents, by write(2),
    /// mmap(2), fallocate(2) or a clone.
    fn changed(&self) -> io::Result<HashSet<u64>> {
        let range = Range { tree: 0, first: Key::FIRST, last: Key::LAST, since: self.origin + 1 };
        let mut inodes = HashSet::new();
        btrfs::search(&self.subvolume, &range, |item| {
            if changed_since(&item, self.origin) {
                inodes.insert(item.key.object);
            }
        })?;
        Ok(inodes)
    }

    fn names(&self, inode: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut names = Vec::new();
        if inode == btrfs::ROOT_INODE {
            return Ok(names);
        }
        let first = Key { object: inode, kind: kind::INODE_REF, offset: 0 };
        let last = Key { object: inode, kind: kind::INODE_EXTREF, offset: u64::MAX };
        btrfs::search(&self.subvolume, &Range { tree: 0, first, last, since: 0 }, |item| match item.key.kind {
            kind::INODE_REF => names_of_one_directory(&item, &mut names),
            kind::INODE_EXTREF => names_of_many_directories(&item, &mut names),
            _ => {}
        })?;
        Ok(names)
    }
}

/// Whether it is an inode that a later transaction than `origin` wrote (`struct btrfs_inode_item`).
pub fn changed_since(item: &Item<'_>, origin: u64) -> bool {
    const TRANSACTION: usize = 8;
    item.key.kind == kind::INODE_ITEM && item.u64_at(TRANSACTION).is_some_and(|transaction| transaction > origin)
}

/// One `struct btrfs_inode_ref` after the other: index, length of the name, the name. The directory is the key's.
fn names_of_one_directory(item: &Item<'_>, names: &mut Vec<(u64, Vec<u8>)>) {
    const NAME: usize = 10;
    let mut at = 0;
    while let Some(name) = name_at(item, at, NAME) {
        names.push((item.key.offset, name.to_vec()));
        at += NAME + name.len();
    }
}

/// One `struct btrfs_inode_extref` after the other: directory, index, length of the name, the name.
fn names_of_many_directories(item: &Item<'_>, names: &mut Vec<(u64, Vec<u8>)>) {
    const NAME: usize = 18;
    let mut at = 0;
    while let (Some(directory), Some(name)) = (item.u64_at(at), name_at(item, at, NAME)) {
        names.push((directory, name.to_vec()));
        at += NAME + name.len();
    }
}

/// The name in the record at `at`, `start` bytes into it, behind its length.
fn name_at<'a>(item: &Item<'a>, at: usize, start: usize) -> Option<&'a [u8]> {
    let length = usize::from(item.u16_at(at + start - 2)?);
    item.data.get(at + start..at + start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: u8, data: &[u8]) -> Item<'_> {
        Item { key: Key { object: 300, kind, offset: 257 }, data }
    }

    #[test]
    fn names_are_cut_out_of_both_forms() {
        let mut names = Vec::new();
        let plain =
            [&7_u64.to_le_bytes()[..], &2_u16.to_le_bytes(), b"ab", &8_u64.to_le_bytes(), &1_u16.to_le_bytes(), b"c"];
        names_of_one_directory(&item(kind::INODE_REF, &plain.concat()), &mut names);
        assert_eq!(names, [(257, b"ab".to_vec()), (257, b"c".to_vec())]);
        names.clear();
        let one = |directory: u64, name: &[u8]| {
            [&directory.to_le_bytes()[..], &7_u64.to_le_bytes(), &(name.len() as u16).to_le_bytes(), name].concat()
        };
        let many = [one(258, b"ab"), one(259, b"c")].concat();
        names_of_many_directories(&item(kind::INODE_EXTREF, &many), &mut names);
        assert_eq!(names, [(258, b"ab".to_vec()), (259, b"c".to_vec())]);
        names.clear();
        // Cut short.
        names_of_one_directory(&item(kind::INODE_REF, &plain.concat()[..11]), &mut names);
        assert_eq!(names, []);
    }

    #[test]
    fn only_younger_inodes_count() {
        let data = [&1_u64.to_le_bytes()[..], &9_u64.to_le_bytes()].concat();
        assert!(changed_since(&item(kind::INODE_ITEM, &data), 8));
        assert!(!changed_since(&item(kind::INODE_ITEM, &data), 9));
        assert!(!changed_since(&item(kind::EXTENT_DATA, &data), 8));
    }
}
