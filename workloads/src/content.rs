//! Content from the run's seed: the same bytes for every driver, whoever makes them and when.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{Error, Result, Scratch};

/// Content comes in blocks of this many bytes, each made without those before it.
pub(crate) const BLOCK: usize = 4096;

/// The mtime of what goes into a layer tar, which would not be the same bytes twice otherwise.
const MADE: Duration = Duration::from_secs(1_704_067_200);
/// The mtime of what a layer above has changed.
const CHANGED: Duration = Duration::from_secs(1_704_153_600);

const SEED_FILE: &str = "seed";

/// The seed of the run, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u64);

impl Seed {
    /// Keeps it for the rounds.
    pub(crate) fn keep(seed: u64, scratch: &Scratch) -> Result<()> {
        let path = scratch.path().join(SEED_FILE);
        fs::write(&path, seed.to_le_bytes()).map_err(Error::io("write", path))
    }

    /// The one that was kept.
    pub(crate) fn of(scratch: &Scratch) -> Result<Self> {
        let path = scratch.path().join(SEED_FILE);
        let mut bytes = [0; 8];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut bytes));
        read.map_err(Error::io("read", path))?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }

    /// The content that belongs to this key.
    pub(crate) fn content(self, key: &str) -> Content {
        let start = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xcbf2_9ce4_8422_2325;
        // FNV-1a.
        let key = key.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Content { key }
    }
}

/// Bytes without end, which do not compress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    key: u64,
}

impl Content {
    /// One block of it.
    pub(crate) fn block(self, number: u64) -> [u8; BLOCK] {
        let mut random = Random::new(self.key ^ number.wrapping_mul(0xD134_2543_DE82_EF95));
        let mut block = [0; BLOCK];
        for word in block.chunks_exact_mut(8) {
            word.copy_from_slice(&random.next().to_le_bytes());
        }
        block
    }

    /// A new file of so many bytes.
    pub(crate) fn write(self, path: &Path, len: u64) -> Result<()> {
        let fail = || Error::io("write", path);
        let mut file = File::create(path).map_err(fail())?;
        let mut piece = Vec::with_capacity(256 * BLOCK);
        let mut left = len;
        for number in 0..len.div_ceil(BLOCK as u64) {
            let block = self.block(number);
            let take = left.min(BLOCK as u64) as usize;
            piece.extend_from_slice(&block[..take]);
            left -= take as u64;
            if left == 0 || piece.len() == piece.capacity() {
                file.write_all(&piece).map_err(fail())?;
                piece.clear();
            }
        }
        When::Made.mark(&file).map_err(fail())
    }

    /// Whether the file has this content's block there.
    pub(crate) fn check(self, path: &Path, number: u64) -> Result<()> {
        let mut found = [0; BLOCK];
        let offset = number * BLOCK as u64;
        let read = File::open(path).and_then(|file| file.read_exact_at(&mut found, offset));
        read.map_err(Error::io("read", path))?;
        if found == self.block(number) {
            return Ok(());
        }
        Err(Error::effect(format!("block {number} of {}", path.display()), "the bytes of its layer", "others"))
    }
}

/// Numbers for choices; Vigna's splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(state: u64) -> Self {
        Self(state)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Fisher and Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// When something was done, in a world where clocks stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Made,
    Changed,
}

impl When {
    /// Gives a file this mtime.
    pub(crate) fn mark(self, file: &File) -> io::Result<()> {
        let since = if self == Self::Made { MADE } else { CHANGED };
        file.set_modified(SystemTime::UNIX_EPOCH + since)
    }

    /// The same for a directory whose entries are all there.
    pub(crate) fn mark_directory(self, path: &Path) -> Result<()> {
        File::open(path).and_then(|dir| self.mark(&dir)).map_err(Error::io("set the time of", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(content: Content, len: usize) -> Vec<u8> {
        let blocks = (0..len.div_ceil(BLOCK) as u64).flat_map(|number| content.block(number));
        blocks.take(len).collect()
    }

    #[test]
    fn content_is_of_seed_and_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(dir.path().to_owned());
        Seed::keep(7, &scratch).unwrap();
        let content = Seed::of(&scratch).unwrap().content("a");
        assert_eq!(content.block(2), Seed(7).content("a").block(2));
        assert_ne!(content.block(0), Seed(7).content("b").block(0));
        assert_ne!(content.block(0), Seed(8).content("a").block(0));
        assert_ne!(content.block(0), content.block(1));
    }

    #[test]
    fn files_hold_it_and_others_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let content = Seed(1).content("f");
        content.write(&path, 2 << 20 | 5).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes(content, 2 << 20 | 5));
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH + MADE);
        content.check(&path, 300).unwrap();
        assert!(Seed(1).content("g").check(&path, 300).is_err());
    }

    #[test]
    fn shuffling_keeps_everything() {
        let mut items: Vec<_> = (0..100).collect();
        Random::new(3).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
