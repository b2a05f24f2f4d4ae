//! Files through memory mappings.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use storage_driver::Bytes;
use storage_sys::mmap::Mapping;

/// Writes `bytes` at `offset` through a shared mapping; the file has to be long enough.
pub fn write(file: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let offset = usize::try_from(offset).map_err(too_large)?;
    let end = offset.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
    Mapping::shared(&file, end)?.write(offset, bytes)
}

/// What of the file the page cache holds.
pub fn cached(file: &Path) -> io::Result<Bytes> {
    let file = File::open(file)?;
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(Bytes(0));
    }
    let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Mapping::private(&file, len)?.cached().map(Bytes)
}
