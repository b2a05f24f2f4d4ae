use std::{fs::File, io, os::unix::fs::FileExt};

use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};

use crate::manifest::Region;

/// The unit of holes in a tar. File systems report holes in blocks of their own, so a map as they report it would
/// depend on where the file lies.
const UNIT: usize = 4096;

/// Smaller files cannot hold a hole of a whole unit.
const SMALLEST: u64 = UNIT as u64;

/// More segments than this are joined over their smallest gaps.
const MOST_SEGMENTS: usize = 1 << 16;

const BUFFER: usize = 1 << 20;

/// Whether the file has any hole before its end (lseek(2), `SEEK_HOLE`).
pub(super) fn has_holes(file: &File, size: u64) -> bool {
    size >= SMALLEST && matches!(seek(file, SeekFrom::Hole(0)), Ok(hole) if hole < size)
}

/// What is to be written of a file that has holes: all units that hold anything but zeros.
///
/// That a file is written as sparse at all takes a hole, so that a file of written zeros stays one. Which parts are
/// left out is then decided by content: the same file gives the same map on every file system.
pub(super) fn data_regions(file: &File, size: u64) -> io::Result<Vec<Region>> {
    let mut regions = Regions::default();
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    while at < size {
        let (start, end) = match next_data(file, at, size)? {
            Some(extent) => extent,
            None => break,
        };
        at = start;
        while at < end {
            let want = usize::try_from((size - at).min(BUFFER as u64)).unwrap_or(BUFFER);
            let want = want.min(usize::try_from(end - at).unwrap_or(BUFFER).next_multiple_of(UNIT));
            let read = file.read_at(&mut buffer[..want], at)?;
            if read == 0 {
                return Ok(regions.finish());
            }
            // A short read is continued at a whole unit.
            let whole = if read < want && read > UNIT { read - read % UNIT } else { read };
            for unit in buffer[..whole].chunks(UNIT) {
                if unit.iter().any(|&byte| byte != 0) {
                    regions.add(at, unit.len() as u64);
                }
                at += unit.len() as u64;
            }
        }
    }
    Ok(regions.finish())
}

/// The next extent that may hold data, in whole units.
fn next_data(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    let unit = UNIT as u64;
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that does not know says that all is data.
        Err(Errno::INVAL) => at,
        Err(error) => return Err(error.into()),
    };
    let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size);
    let start = (start - start % unit).max(at);
    Ok((start < size).then(|| (start, end.next_multiple_of(unit).min(size).max(start + 1))))
}

#[derive(Default)]
struct Regions(Vec<Region>);

impl Regions {
    fn add(&mut self, offset: u64, length: u64) {
        match self.0.last_mut() {
            Some(last) if last.offset + last.length == offset => last.length += length,
            _ => self.0.push(Region { offset, length }),
        }
    }

    fn finish(mut self) -> Vec<Region> {
        let mut gap = UNIT as u64;
        while self.0.len() > MOST_SEGMENTS {
            let mut joined = Self::default();
            for region in self.0 {
                match joined.0.last_mut() {
                    Some(last) if region.offset - (last.offset + last.length) <= gap => {
                        last.length = region.offset + region.length - last.offset;
                    }
                    _ => joined.0.push(region),
                }
            }
            self = joined;
            gap *= 2;
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(parts: &[(u64, &[u8])], size: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for (at, bytes) in parts {
            file.write_all_at(bytes, *at).unwrap();
        }
        file
    }

    #[test]
    fn the_map_follows_the_content_within_files_that_have_holes() {
        let mib = 1 << 20;
        let file = file_of(&[(5000, b"x"), (mib, &[0; 65_536]), (3 * mib, b"end")], 3 * mib + 3);
        assert!(has_holes(&file, 3 * mib + 3));
        let expected = [Region { offset: 4096, length: 4096 }, Region { offset: 3 * mib, length: 3 }];
        assert_eq!(data_regions(&file, 3 * mib + 3).unwrap(), expected);
    }

    #[test]
    fn written_zeros_are_data_where_nothing_is_a_hole() {
        let file = file_of(&[(0, &[0; 65_536])], 65_536);
        assert!(!has_holes(&file, 65_536));
    }

    #[test]
    fn a_file_that_is_one_hole_has_no_data() {
        let file = file_of(&[], 10_000_000);
        assert!(has_holes(&file, 10_000_000));
        assert_eq!(data_regions(&file, 10_000_000).unwrap(), []);
    }

    #[test]
    fn too_many_segments_are_joined() {
        let mut regions = Regions::default();
        for n in 0..200_000 {
            regions.add(n * 8192, 4096);
        }
        assert!(regions.finish().len() <= MOST_SEGMENTS);
    }
}
