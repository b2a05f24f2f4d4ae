use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
};

use rustix::{
    fs::{SeekFrom, copy_file_range, ftruncate, ioctl_ficlone, seek},
    io::Errno,
};

use super::CopyStrategy;

/// Enough that system calls do not matter, little enough to stay in a core's cache.
pub(super) const BUFFER: usize = 256 * 1024;

/// Why content did not get across.
#[derive(Debug)]
pub(super) enum Failure {
    /// Reading the source.
    Read(io::Error),
    /// Writing the copy.
    Write(io::Error),
    /// Doing both at once.
    Both(Errno),
    /// The file systems cannot do what the strategy asks for.
    Strategy(Errno),
}

/// Copies `size` bytes into the empty file `to`; a source that was cut meanwhile gives a shorter copy.
///
/// Returns whether the source has holes.
pub(super) fn copy(
    strategy: CopyStrategy,
    from: &File,
    to: &File,
    size: u64,
    buffer: &mut Vec<u8>,
) -> Result<bool, Failure> {
    if size == 0 {
        return Ok(false);
    }
    let hole = first_hole(from, size).map_err(|errno| Failure::Read(errno.into()))?;
    // The end of a file that was cut looks like a hole.
    let size = if hole < size { size.min(from.metadata().map_err(Failure::Read)?.len()) } else { size };
    let sparse = hole < size;
    if strategy == CopyStrategy::Reflink {
        ioctl_ficlone(to, from).map_err(refused)?;
        return Ok(sparse);
    }
    let mut data = |at, end| match strategy {
        CopyStrategy::Copy => by_buffer(from, to, at, end, buffer),
        CopyStrategy::CopyFileRange | CopyStrategy::Reflink => in_kernel(from, to, at, end),
    };
    if !sparse {
        data(0, size)?;
        return Ok(false);
    }
    let cut = |length| ftruncate(to, length).map_err(|errno| Failure::Write(errno.into()));
    // First, since xfs reserves space beyond the end of a file that grows, and that would not become a hole again.
    cut(size)?;
    let mut at = 0;
    while let Some((start, end)) = next_data(from, at, size).map_err(|errno| Failure::Read(errno.into()))? {
        at = data(start, end)?;
        if at < end {
            cut(at)?;
            break;
        }
    }
    Ok(true)
}

/// Asked of every file: one that is allocated in full can still have parts that were never written, and they count
/// as holes (lseek(2)).
fn first_hole(file: &File, size: u64) -> Result<u64, Errno> {
    match seek(file, SeekFrom::Hole(0)) {
        Ok(at) => Ok(at),
        // Beyond the end, since the file was cut; or a file system that does not know.
        Err(Errno::NXIO | Errno::INVAL) => Ok(size),
        Err(error) => Err(error),
    }
}

fn next_data(file: &File, at: u64, size: u64) -> Result<Option<(u64, u64)>, Errno> {
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) if start < size => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error),
    };
    match seek(file, SeekFrom::Hole(start)) {
        Ok(end) => Ok(Some((start, end.min(size)))),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns where it ended: at `end`, or before when the source did.
fn by_buffer(from: &File, to: &File, mut at: u64, end: u64, buffer: &mut Vec<u8>) -> Result<u64, Failure> {
    buffer.resize(BUFFER, 0);
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER);
        let read = match from.read_at(&mut buffer[..want], at) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Read(error)),
        };
        to.write_all_at(&buffer[..read], at).map_err(Failure::Write)?;
        at += read as u64;
    }
    Ok(at)
}

fn in_kernel(from: &File, to: &File, mut at: u64, end: u64) -> Result<u64, Failure> {
    /// The kernel cuts larger requests down to about this anyway.
    const MOST: u64 = 1 << 30;
    while at < end {
        let (mut source, mut target) = (at, at);
        let want = usize::try_from((end - at).min(MOST)).unwrap_or(usize::MAX);
        match copy_file_range(from, Some(&mut source), to, Some(&mut target), want) {
            Ok(0) => break,
            Ok(copied) => at += copied as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(at)
}

/// ioctl_ficlone(2) and copy_file_range(2), ERRORS.
fn refused(errno: Errno) -> Failure {
    match errno {
        Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::NOTTY => Failure::Strategy(errno),
        _ => Failure::Both(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn a_source_shorter_than_it_was_gives_a_shorter_copy() {
        let from = tempfile::tempfile().unwrap();
        from.write_all_at(&[7; 10_000], 0).unwrap();
        for strategy in [CopyStrategy::Copy, CopyStrategy::CopyFileRange] {
            let mut to = tempfile::tempfile().unwrap();
            assert!(!copy(strategy, &from, &to, 1 << 20, &mut Vec::new()).unwrap());
            let mut found = Vec::new();
            to.rewind().unwrap();
            to.read_to_end(&mut found).unwrap();
            assert_eq!(found, [7; 10_000], "{strategy}");
        }
    }

    #[test]
    fn holes_stay_holes_and_what_was_only_reserved_becomes_one() {
        let from = tempfile::tempfile().unwrap();
        let mib = 1 << 20;
        rustix::fs::fallocate(&from, rustix::fs::FallocateFlags::empty(), 0, 4 * mib).unwrap();
        from.set_len(8 * mib).unwrap();
        from.write_all_at(&[1; 5000], mib).unwrap();
        from.write_all_at(&[2; 5000], 6 * mib).unwrap();
        for strategy in [CopyStrategy::Copy, CopyStrategy::CopyFileRange] {
            let to = tempfile::tempfile().unwrap();
            assert!(copy(strategy, &from, &to, 8 * mib, &mut Vec::new()).unwrap());
            assert_eq!(next_data(&to, 0, 8 * mib).unwrap(), Some((mib, mib + 8192)), "{strategy}");
            assert_eq!(next_data(&to, 2 * mib, 8 * mib).unwrap(), Some((6 * mib, 6 * mib + 8192)), "{strategy}");
            assert_eq!(to.metadata().unwrap().len(), 8 * mib);
        }
    }
}
