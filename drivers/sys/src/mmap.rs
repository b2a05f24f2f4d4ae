//! Memory mappings of files, for tests of what file systems make of them.
#![allow(unsafe_code)]

use std::{io, os::fd::AsFd, ptr};

use rustix::mm::{MapFlags, MsyncFlags, ProtFlags};

/// A readable and writable mapping of the start of a file; unmapped when it is dropped.
///
/// All access copies in or out and is bounds-checked: the file may change at any time, so no reference into the
/// mapping is ever given away.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes such that writes go to the file, which must be open for reading and writing.
    ///
    /// # Errors
    /// mmap(2)'s; `EINVAL` when the file is shorter than `len`, since touching the rest would be fatal.
    pub fn shared(file: impl AsFd, len: usize) -> io::Result<Self> {
        Self::new(file, len, MapFlags::SHARED)
    }

    /// Maps `len` bytes such that writes stay in this mapping; the file need only be open for reading.
    ///
    /// # Errors
    /// As for [`shared`](Self::shared).
    pub fn private(file: impl AsFd, len: usize) -> io::Result<Self> {
        Self::new(file, len, MapFlags::PRIVATE)
    }

    fn new(file: impl AsFd, len: usize, flags: MapFlags) -> io::Result<Self> {
        let size = rustix::fs::fstat(&file)?.st_size;
        if usize::try_from(size).is_ok_and(|size| size < len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the address is left to the kernel (a null hint without MAP_FIXED), so nothing that is mapped now
        // is replaced.
        let start = unsafe { rustix::mm::mmap(ptr::null_mut(), len, access, flags, file, 0) }?;
        Ok(Self { start: start.cast(), len })
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// `InvalidInput` when that is outside the mapping.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes.len())?;
        // SAFETY: `check` says that the range is within the mapping, so the sum stays in one allocated object.
        let target = unsafe { self.start.add(offset) };
        // SAFETY: `target` is valid for writes of `bytes.len()` bytes (within the mapping, mapped writable), both are
        // bytes and so aligned, and `bytes` cannot overlap memory that no reference is ever made of.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        Ok(())
    }

    /// A copy of `len` bytes at `offset`; shorter at the end of the mapping.
    #[must_use]
    pub fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        let offset = offset.min(self.len);
        let mut bytes = vec![0; len.min(self.len - offset)];
        // SAFETY: `offset` is at most the length of the mapping, so the sum stays in one allocated object.
        let source = unsafe { self.start.add(offset) };
        // SAFETY: `source` is valid for reads of `bytes.len()` bytes (within the mapping, mapped readable), both are
        // bytes and so aligned, and `bytes` is a fresh allocation.
        unsafe { ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), bytes.len()) };
        bytes
    }

    /// Brings what was written to the file.
    ///
    /// # Errors
    /// msync(2)'s.
    pub fn sync(&self) -> io::Result<()> {
        // SAFETY: the range is exactly the mapping, which lives as long as `self`.
        Ok(unsafe { rustix::mm::msync(self.start.cast(), self.len, MsyncFlags::SYNC) }?)
    }

    /// How many of the mapped bytes are in the page cache, in whole pages; see mincore(2).
    ///
    /// # Errors
    /// mincore(2)'s.
    pub fn cached(&self) -> io::Result<u64> {
        let page = rustix::param::page_size();
        let mut pages = vec![0_u8; self.len.div_ceil(page)];
        // SAFETY: the range is exactly the mapping, which starts at a page's boundary, and `pages` has one byte for each
        // of its pages.
        let answer = unsafe { libc::mincore(self.start.cast(), self.len, pages.as_mut_ptr()) };
        if answer != 0 {
            return Err(io::Error::last_os_error());
        }
        // The other bits are reserved.
        let cached = pages.iter().filter(|page| **page & 1 == 1).count() * page;
        Ok(cached.min(self.len) as u64)
    }

    fn check(&self, offset: usize, len: usize) -> io::Result<()> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        if inside { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is exactly the mapping, and no pointer into it outlives `self`.
        // It cannot fail: EINVAL is for ranges that are no mapping (munmap(2)).
        _ = unsafe { rustix::mm::munmap(self.start.cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    fn file(content: &[u8]) -> fs::File {
        let path = std::env::temp_dir().join(format!("mmap-{}-{}", std::process::id(), content.len()));
        let mut file = fs::File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        fs::remove_file(path).unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn a_shared_mapping_writes_to_the_file() {
        let file = file(b"0123456789");
        let mut mapping = Mapping::shared(&file, 10).unwrap();
        mapping.write(4, b"abc").unwrap();
        mapping.sync().unwrap();
        let mut found = [0; 10];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut found, 0).unwrap();
        assert_eq!(&found, b"0123abc789");
        assert_eq!(mapping.read(8, 100), b"89");
    }

    #[test]
    fn what_was_just_written_is_cached() {
        let file = file(&[7; 10_000]);
        assert_eq!(Mapping::private(&file, 10_000).unwrap().cached().unwrap(), 10_000);
        // A hole that nobody has read has no pages.
        file.set_len(1 << 20).unwrap();
        let cached = Mapping::private(&file, 1 << 20).unwrap().cached().unwrap();
        assert!((10_000..100_000).contains(&cached), "{cached} bytes");
    }

    #[test]
    fn nothing_outside_is_touched() {
        let file = file(b"01234");
        assert!(Mapping::shared(&file, 6).is_err());
        let mut mapping = Mapping::private(&file, 5).unwrap();
        assert!(mapping.write(4, b"ab").is_err());
        assert!(mapping.write(usize::MAX, b"ab").is_err());
        assert_eq!(mapping.read(9, 1), b"");
    }
}
