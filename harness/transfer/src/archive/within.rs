use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::Arc,
};

use storage_layer::Compression;

/// A part of an archive that is a file; several may be read at once.
#[derive(Debug, Clone)]
pub struct Within {
    archive: Arc<fs::File>,
    start: u64,
    size: u64,
    at: u64,
}

impl Within {
    pub fn new(archive: &Arc<fs::File>, start: u64, size: u64) -> Self {
        Self { archive: archive.clone(), start, size, at: 0 }
    }

    /// Where in the archive it is.
    pub const fn start(&self) -> u64 {
        self.start
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What its first bytes show.
    pub fn compression(&self) -> io::Result<Compression> {
        let mut head = Vec::with_capacity(Compression::MAGIC_LEN);
        self.from(0).take(Compression::MAGIC_LEN as u64).read_to_end(&mut head)?;
        Ok(Compression::of(&head))
    }

    /// The same part, to be read from here on.
    pub fn from(&self, at: u64) -> Self {
        Self { at, ..self.clone() }
    }
}

impl Read for Within {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at);
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.archive.read_at(&mut buffer[..most], self.start + self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Within {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
            SeekFrom::End(distance) => self.size.checked_add_signed(distance),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn reads_its_part_and_no_more() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let file = Arc::new(file);
        let text = |mut within: Within| {
            let mut text = String::new();
            within.read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(text(Within::new(&file, 2, 3)), "234");
        assert_eq!(text(Within::new(&file, 8, 5)), "89");
        let mut within = Within::new(&file, 2, 5);
        assert_eq!(within.seek(SeekFrom::Start(3)).unwrap(), 3);
        assert_eq!(text(within.clone()), "56");
        assert_eq!(within.seek(SeekFrom::Current(9)).unwrap(), 12);
        assert_eq!(text(within.clone()), "");
        assert!(within.seek(SeekFrom::Current(-13)).is_err());
    }
}
