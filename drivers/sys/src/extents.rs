//! In how many pieces a file lies on its device (FS_IOC_FIEMAP, see Documentation/filesystems/fiemap.rst).
#![allow(unsafe_code)]

use std::{fs::File, io};

use rustix::ioctl::{self, Updater, opcode};

/// `struct fiemap` without room for extents (linux/fiemap.h): the kernel then only counts them.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

const FS_IOC_FIEMAP: ioctl::Opcode = opcode::read_write::<Fiemap>(b'f', 11);
/// Writes what is dirty first, so that it has a place.
const FIEMAP_FLAG_SYNC: u32 = 1;

/// The number of a file's extents; `None` where the file system has none to tell of, as tmpfs.
///
/// # Errors
/// When the file cannot be written to its device.
pub fn count(file: &File) -> io::Result<Option<u64>> {
    let mut map = Fiemap { length: u64::MAX, flags: FIEMAP_FLAG_SYNC, ..Fiemap::default() };
    // SAFETY: the structure is what this request reads and writes, and an extent count of 0 says that none follow it.
    match unsafe { ioctl::ioctl(file, Updater::<FS_IOC_FIEMAP, _>::new(&mut map)) } {
        Ok(()) => Ok(Some(u64::from(map.mapped_extents))),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOTTY) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn pieces_are_counted() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let file = File::create(dir.path().join("file")).unwrap();
        assert_eq!(count(&file).unwrap(), Some(0));
        // Blocks with holes between them cannot be one piece.
        for number in 0..3 {
            file.write_all_at(&[7; 4096], number * (1 << 20)).unwrap();
        }
        assert_eq!(count(&file).unwrap(), Some(3));
    }
}
