//! What a reader reads, and in which order.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, fadvise};

use crate::{
    Error, Result,
    content::{BLOCK, Content, Random, Seed},
};

/// Bytes of one read(2) of a sequential reader.
const PIECE: usize = 128 << 10;

/// The order in which a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Every file from its start to its end.
    Sequential,
    /// Blocks here and there.
    Random,
}

pub(super) const PATTERNS: [(&str, Pattern); 2] = [("sequential", Pattern::Sequential), ("random", Pattern::Random)];

impl Pattern {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Random => "random",
        }
    }
}

/// The files of the image: `files` of `size` bytes each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files {
    pub(super) seed: Seed,
    pub(super) files: u64,
    pub(super) size: u64,
    /// Blocks of each file that a random reader reads.
    pub(super) blocks: u64,
}

/// What was read: how much, and a sum of all of it in which the order does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    sum: u64,
}

impl Seen {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        for word in bytes.chunks_exact(8) {
            self.sum = self.sum.wrapping_add(u64::from_le_bytes(std::array::from_fn(|at| word[at])));
        }
    }
}

impl Files {
    pub(super) fn path(root: &Path, number: u64) -> PathBuf {
        root.join(format!("file-{number:04}"))
    }

    pub(super) const fn total(&self) -> u64 {
        self.files * self.size
    }

    fn content(&self, number: u64) -> Content {
        self.seed.content(&format!("file {number}"))
    }

    pub(super) fn make(&self, root: &Path) -> Result<()> {
        (0..self.files).try_for_each(|number| self.content(number).write(&Self::path(root, number), self.size))
    }

    /// What a reader must have seen.
    pub(super) fn expected(&self, pattern: Pattern) -> Seen {
        let mut seen = Seen::default();
        for number in 0..self.files {
            let content = self.content(number);
            match pattern {
                Pattern::Sequential => (0..self.size / BLOCK as u64).for_each(|block| seen.add(&content.block(block))),
                Pattern::Random => self.chosen(number).iter().for_each(|block| seen.add(&content.block(*block))),
            }
        }
        seen
    }

    pub(super) fn read(&self, pattern: Pattern, root: &Path) -> Result<Seen> {
        let mut seen = Seen::default();
        for number in 0..self.files {
            let path = Self::path(root, number);
            match pattern {
                Pattern::Sequential => sequential(&path, &mut seen),
                Pattern::Random => random(&path, &self.chosen(number), &mut seen),
            }
            .map_err(Error::io("read", path))?;
        }
        Ok(seen)
    }

    /// The blocks of a file that random readers read, each once, in their order.
    fn chosen(&self, number: u64) -> Vec<u64> {
        let mut blocks: Vec<u64> = (0..self.size / BLOCK as u64).collect();
        Random::new(number).shuffle(&mut blocks);
        blocks.truncate(usize::try_from(self.blocks).unwrap_or(usize::MAX));
        blocks
    }
}

fn sequential(path: &Path, seen: &mut Seen) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        seen.add(&piece[..read]);
    }
}

fn random(path: &Path, blocks: &[u64], seen: &mut Seen) -> std::io::Result<()> {
    let file = File::open(path)?;
    // Otherwise the kernel guesses, from what it saw before, how much more than asked for it should read.
    fadvise(&file, 0, None, Advice::Random)?;
    let mut block = [0; BLOCK];
    for number in blocks {
        file.read_exact_at(&mut block, number * BLOCK as u64)?;
        seen.add(&block);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;

    #[test]
    fn what_is_expected_is_what_is_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(dir.path().to_owned());
        Seed::keep(5, &scratch).unwrap();
        let files = Files { seed: Seed::of(&scratch).unwrap(), files: 3, size: 20 * BLOCK as u64, blocks: 7 };
        files.make(dir.path()).unwrap();
        for (_, pattern) in PATTERNS {
            assert_eq!(files.read(pattern, dir.path()).unwrap(), files.expected(pattern));
        }
        assert_eq!(files.expected(Pattern::Random).bytes, 3 * 7 * BLOCK as u64);
        std::fs::write(Files::path(dir.path(), 1), vec![0; 20 * BLOCK]).unwrap();
        for (_, pattern) in PATTERNS {
            assert_ne!(files.read(pattern, dir.path()).unwrap(), files.expected(pattern));
        }
    }
}
