use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use super::{BLOCK, damaged};

/// A pool's metadata, to be read block by block.
#[derive(Debug)]
pub struct Source {
    file: File,
}

impl Source {
    /// A file, or a device whose pool is not at work.
    pub fn idle(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)? })
    }

    /// A device whose pool is at work: the pool writes past the page cache, so that must not be asked.
    pub fn at_work(path: &Path) -> io::Result<Self> {
        let direct = OFlags::DIRECT.bits().cast_signed();
        Ok(Self { file: OpenOptions::new().read(true).custom_flags(direct).open(path)? })
    }

    /// Calls `look` with one block.
    pub fn with<T>(&self, block: u64, look: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<T> {
        // Direct I/O wants its memory aligned (open(2), "O_DIRECT").
        let mut room = vec![0; 2 * BLOCK];
        let start = room.as_ptr().align_offset(BLOCK).min(BLOCK);
        let bytes = &mut room[start..start + BLOCK];
        let at = block.checked_mul(BLOCK as u64).ok_or_else(|| damaged("a block's number is too large"))?;
        self.file.read_exact_at(bytes, at)?;
        look(bytes)
    }
}
