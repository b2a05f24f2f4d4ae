use std::{fs::File, os::unix::fs::FileExt, path::Path};

use rustix::{
    fs::{AtFlags, Mode, OFlags, openat, unlinkat},
    io::Errno,
};
use storage_driver::Support;

use super::{
    CopyStrategy,
    content::{self, Failure},
};
use crate::{Error, Result};

/// Whether files in the directory `dir` can be copied that way to others in it; tried with two small files.
///
/// # Errors
/// [`Error::Io`] when not even these can be made.
pub fn probe(strategy: CopyStrategy, dir: &Path) -> Result<Support> {
    const SIZE: usize = 64 * 1024;
    let (from, to) = (unnamed(dir)?, unnamed(dir)?);
    from.write_all_at(&[1; SIZE], 0).map_err(Error::io("write a file in", dir))?;
    match content::copy(strategy, &from, &to, SIZE as u64, &mut Vec::new()) {
        Ok(_) => Ok(Support::Yes),
        Err(Failure::Strategy(errno)) => Ok(Support::No(format!(
            "{strategy} between files in {} fails: {errno}; reflinks need btrfs, or xfs made with reflink=1",
            dir.display()
        ))),
        Err(Failure::Read(source) | Failure::Write(source)) => Err(Error::io("copy a file in", dir)(source)),
        Err(Failure::Both(errno)) => Err(Error::io("copy a file in", dir)(errno)),
    }
}

/// A file that goes with its descriptor.
fn unnamed(dir: &Path) -> Result<File> {
    let fail = || Error::io("create a file in", dir);
    let mode = Mode::RUSR | Mode::WUSR;
    let parent = openat(rustix::fs::CWD, dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let parent = parent.map_err(Error::io("open", dir))?;
    match openat(&parent, ".", OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, mode) {
        // Not every file system has them (open(2), O_TMPFILE).
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        answer => return answer.map(File::from).map_err(fail()),
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let name = format!(".copy-probe-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = openat(&parent, &name, flags, mode).map_err(fail())?;
    unlinkat(&parent, &name, AtFlags::empty()).map_err(Error::io("remove a file in", dir))?;
    Ok(file.into())
}
