//! What a layer takes beyond its parent, without quotas.

use std::{collections::HashMap, fs::File, io, path::Path};

use storage_driver::{Bytes, CopiedUp, Usage};
use storage_sys::btrfs::{self, Item, Key, Range, kind};

use crate::generation::changed_since;

/// Counts what was allocated in the subvolume at `tree` since the snapshot that it began as, or all where it has no parent.
///
/// Data is counted by extent, as the file system allocated it: compressed, and whole even if only a part of it is still
/// referred to. An extent that was cloned from another layer counts where it is younger than this layer, too. Metadata is
/// the blocks that the changed items fill, at the least, and never less than one.
pub fn usage(tree: &Path, has_parent: bool) -> io::Result<Usage> {
    let tree = File::open(tree)?;
    btrfs::sync(&tree)?;
    let origin = if has_parent { btrfs::info(&tree)?.origin } else { 0 };
    let since = if has_parent { origin + 1 } else { 0 };
    let mut count = Count { origin, ..Count::default() };
    btrfs::search(&tree, &Range { tree: 0, first: Key::FIRST, last: Key::LAST, since }, |item| count.add(&item))?;
    let node = u64::from(btrfs::geometry(&tree)?.node);
    let metadata = count.metadata.div_ceil(node).max(1) * node;
    let data: u64 = count.extents.values().sum();
    Ok(Usage { exclusive: Bytes(data + metadata), inodes: count.inodes, copied_up: CopiedUp::default() })
}

#[derive(Debug, Default)]
struct Count {
    origin: u64,
    inodes: u64,
    metadata: u64,
    /// Sizes by where the extents are, since several files can refer to one.
    extents: HashMap<u64, u64>,
}

impl Count {
    fn add(&mut self, item: &Item<'_>) {
        /// `struct btrfs_item`, which stands in the block for each item.
        const HEADER: u64 = 25;
        self.metadata += HEADER + item.data.len() as u64;
        self.inodes += u64::from(changed_since(item, self.origin));
        if let Some((address, size)) = extent_since(item, self.origin) {
            self.extents.insert(address, size);
        }
    }
}

/// Address and size of an extent on disk that was allocated later than `origin` (`struct btrfs_file_extent_item`).
fn extent_since(item: &Item<'_>, origin: u64) -> Option<(u64, u64)> {
    const INLINE: u8 = 0;
    if item.key.kind != kind::EXTENT_DATA {
        return None;
    }
    let generation = item.u64_at(0)?;
    let form = *item.data.get(20)?;
    let (address, size) = (item.u64_at(21)?, item.u64_at(29)?);
    // A hole has no address.
    (form != INLINE && address != 0 && generation > origin).then_some((address, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(generation: u64, form: u8, address: u64, size: u64) -> Vec<u8> {
        let numbers = [generation.to_le_bytes(), [0; 8]].concat();
        [&numbers[..], &[0, 0, 0, 0, form], &address.to_le_bytes(), &size.to_le_bytes(), &[0; 16]].concat()
    }

    #[test]
    fn shared_extents_holes_and_inline_data_are_no_extents_of_the_layers_own() {
        let key = Key { object: 300, kind: kind::EXTENT_DATA, offset: 0 };
        let read = |data: &[u8]| extent_since(&Item { key, data }, 8);
        assert_eq!(read(&extent(9, 1, 4096, 8192)), Some((4096, 8192)));
        assert_eq!(read(&extent(9, 2, 4096, 8192)), Some((4096, 8192)));
        assert_eq!(read(&extent(8, 1, 4096, 8192)), None);
        assert_eq!(read(&extent(9, 1, 0, 0)), None);
        assert_eq!(read(&extent(9, 0, 4096, 8192)), None);
        assert_eq!(read(b"short"), None);
    }
}
