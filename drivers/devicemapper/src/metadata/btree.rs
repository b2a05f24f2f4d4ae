use std::io;

use super::{BLOCK, Source, checksum, damaged};

const SALT: u32 = 121_107;
const INTERNAL: u32 = 1;
const HEADER: usize = 32;
/// A tree of this height has more entries than there are blocks.
const HEIGHT: usize = 16;

/// What a leaf's values are.
pub trait Leaf: Sized {
    const SIZE: usize;

    fn read(bytes: &[u8]) -> Option<Self>;
}

/// Calls `visit` for every entry of the tree below `root`, in order of their keys.
pub fn walk<L: Leaf>(source: &Source, root: u64, visit: &mut dyn FnMut(u64, L) -> io::Result<()>) -> io::Result<()> {
    below(source, root, HEIGHT, visit)
}

fn below<L: Leaf>(
    source: &Source,
    block: u64,
    height: usize,
    visit: &mut dyn FnMut(u64, L) -> io::Result<()>,
) -> io::Result<()> {
    if height == 0 {
        return Err(damaged("a tree has no end"));
    }
    let node = source.with(block, |bytes| Node::parse(bytes, block, L::SIZE))?;
    for (key, value) in node.keys.iter().zip(node.values.chunks_exact(node.value_size)) {
        if node.internal {
            let child = u64::read(value).ok_or_else(|| damaged("a node is cut off"))?;
            below(source, child, height - 1, visit)?;
        } else {
            visit(*key, L::read(value).ok_or_else(|| damaged("a node is cut off"))?)?;
        }
    }
    Ok(())
}

/// `struct btree_node`: a header, all keys there can be, all values there can be.
#[derive(Debug)]
struct Node {
    internal: bool,
    value_size: usize,
    keys: Vec<u64>,
    values: Vec<u8>,
}

impl Node {
    fn parse(bytes: &[u8], block: u64, leaf_size: usize) -> io::Result<Self> {
        if !checksum::holds(bytes, SALT) {
            return Err(damaged("a node's checksum is wrong"));
        }
        let u32_at = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let u64_at = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let read = || {
            let (entries, room) = (u32_at(16)? as usize, u32_at(20)? as usize);
            let value_size = u32_at(24)? as usize;
            let internal = u32_at(4)? & INTERNAL != 0;
            let fits = u64_at(8)? == block && entries <= room && room <= BLOCK;
            let expected = if internal { 8 } else { leaf_size };
            if !fits || value_size != expected {
                return None;
            }
            let keys = (0..entries).map(|index| u64_at(HEADER + index * 8)).collect::<Option<_>>()?;
            let start = HEADER + room * 8;
            let values = bytes.get(start..start + entries * value_size)?.to_vec();
            Some(Self { internal, value_size, keys, values })
        };
        read().ok_or_else(|| damaged("a node makes no sense"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn node(block: u64, internal: bool, entries: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(4, &(if internal { 1_u32 } else { 2 }).to_le_bytes());
        put(8, &block.to_le_bytes());
        put(16, &(entries.len() as u32).to_le_bytes());
        put(20, &252_u32.to_le_bytes());
        put(24, &8_u32.to_le_bytes());
        for (index, (key, value)) in entries.iter().enumerate() {
            put(HEADER + index * 8, &key.to_le_bytes());
            put(HEADER + 252 * 8 + index * 8, &value.to_le_bytes());
        }
        bytes
    }

    fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = checksum::salted(&bytes[4..], SALT);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn source(blocks: &[Vec<u8>]) -> (tempfile::NamedTempFile, Source) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for block in blocks {
            file.write_all(block).unwrap();
        }
        let source = Source::idle(file.path()).unwrap();
        (file, source)
    }

    fn entries(source: &Source) -> io::Result<Vec<(u64, u64)>> {
        let mut found = vec![];
        walk(source, 0, &mut |key, value: u64| {
            found.push((key, value));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn a_tree_is_walked_in_order() {
        let (_file, source) = source(&[
            signed(node(0, true, &[(0, 2), (10, 1)])),
            signed(node(1, false, &[(10, 100), (11, 110)])),
            signed(node(2, false, &[(0, 7), (3, 8)])),
        ]);
        assert_eq!(entries(&source).unwrap(), [(0, 7), (3, 8), (10, 100), (11, 110)]);
    }

    #[test]
    fn damage_is_told_and_never_followed() {
        let circle = signed(node(0, true, &[(0, 0)]));
        assert!(entries(&source(&[circle]).1).is_err());
        assert!(entries(&source(&[node(0, false, &[(1, 2)])]).1).is_err());
        assert!(entries(&source(&[signed(node(5, false, &[(1, 2)]))]).1).is_err());
        assert!(entries(&source(&[signed(node(0, true, &[(1, 9)]))]).1).is_err());
        let mut many = node(0, false, &[(1, 2)]);
        many[16..20].copy_from_slice(&253_u32.to_le_bytes());
        assert!(entries(&source(&[signed(many)]).1).is_err());
    }
}
