use std::io;

use super::{Source, checksum, damaged};

const MAGIC: u64 = 27_022_010;
const SALT: u32 = 160_774;
const NEEDS_CHECK: u32 = 1;

/// `struct thin_disk_superblock`, as far as it is needed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// The user's number.
    pub transaction: u64,
    /// The metadata snapshot, if one is held.
    pub held_root: Option<u64>,
    /// Sectors in a data block.
    pub block_sectors: u64,
    /// A change failed halfway, and the kernel refuses further ones until somebody has checked.
    pub needs_check: bool,
    pub(super) mapping_root: u64,
    pub(super) details_root: u64,
}

impl Superblock {
    /// Reads the superblock, or the copy of it that a metadata snapshot starts with; `None` where there has never been a
    /// pool.
    pub fn read(source: &Source, block: u64) -> io::Result<Option<Self>> {
        source.with(block, |bytes| {
            if block == 0 && bytes.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            Self::parse(bytes).map(Some)
        })
    }

    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if u64_at(32) != Some(MAGIC) {
            return Err(damaged("it does not start as a thin pool's metadata"));
        }
        if !checksum::holds(bytes, SALT) {
            return Err(damaged("the superblock's checksum is wrong"));
        }
        let read = || {
            Some(Self {
                needs_check: u32_at(4)? & NEEDS_CHECK != 0,
                transaction: u64_at(48)?,
                held_root: u64_at(56).filter(|root| *root != 0),
                mapping_root: u64_at(320)?,
                details_root: u64_at(328)?,
                block_sectors: u64::from(u32_at(336)?),
            })
        };
        read().ok_or_else(|| damaged("the superblock is cut off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_superblock_is_told() {
        let mut bytes = vec![0; 4096];
        assert!(Superblock::parse(&bytes).unwrap_err().to_string().contains("does not start"));
        bytes[32..40].copy_from_slice(&MAGIC.to_le_bytes());
        assert!(Superblock::parse(&bytes).unwrap_err().to_string().contains("checksum"));
        assert!(Superblock::parse(&bytes[..100]).is_err());
    }
}
