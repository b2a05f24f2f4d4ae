//! Which parts of a file are holes (lseek(2), `SEEK_DATA` and `SEEK_HOLE`).

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use rustix::{
    fs::{SeekFrom, Timespec, Timestamps, seek},
    io::Errno,
};

use crate::Verdict;

/// Fills those holes of `file` with zeros that are none in `like`. Nothing happens unless both are regular files.
pub fn fill_like(like: &Path, file: &Path) -> Verdict {
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if !is_file(like) || !is_file(file) {
        return Ok(());
    }
    let (like, file) = (File::open(like)?, File::options().read(true).write(true).open(file)?);
    let before = rustix::fs::fstat(&file)?;
    let size = file.metadata()?.len();
    let mut filled = false;
    let mut at = 0;
    while let Some(start) = next_data(&like, at)? {
        at = next_hole(&like, start)?.min(size);
        filled |= fill(&file, start, at)?;
    }
    if filled {
        let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
        rustix::fs::futimens(
            &file,
            &Timestamps {
                last_access: time(before.st_atime, before.st_atime_nsec as _),
                last_modification: time(before.st_mtime, before.st_mtime_nsec as _),
            },
        )?;
    }
    Ok(())
}

/// Writes zeros over the holes between two offsets; true if there were any.
fn fill(file: &File, start: u64, end: u64) -> io::Result<bool> {
    let mut filled = false;
    let mut at = start;
    while at < end {
        let hole = next_hole(file, at)?;
        if hole >= end {
            break;
        }
        at = next_data(file, hole)?.unwrap_or(end).min(end);
        let zeros = vec![0; usize::try_from(at - hole).map_err(io::Error::other)?];
        file.write_all_at(&zeros, hole)?;
        filled = true;
    }
    Ok(filled)
}

/// The first data at or after an offset.
fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match seek(file, SeekFrom::Data(offset)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The first hole at or after an offset; the end of a file is one.
pub fn next_hole(file: &File, offset: u64) -> io::Result<u64> {
    Ok(seek(file, SeekFrom::Hole(offset))?)
}
