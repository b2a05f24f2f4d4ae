//! Writing files so that a crash leaves the old content or the new.

use std::{
    fs::{File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use storage_root::Durability;
use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A new file in `dir` that vanishes unless it is [`publish`]ed.
pub fn temporary(dir: &Path, mode: u32) -> Result<NamedTempFile> {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(dir)
        .map_err(Error::io("create a temporary file in", dir))
}

/// Gives a finished temporary file its place; data first, then the name (fsync(2): syncing a file does not
/// sync the directory entry that leads to it).
pub fn publish(file: NamedTempFile, path: &Path, durability: Durability) -> Result<()> {
    if durability.syncs() {
        file.as_file().sync_all().map_err(Error::io("sync", file.path()))?;
    }
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    match path.parent() {
        Some(dir) => sync_directory(dir, durability),
        None => Ok(()),
    }
}

/// Replaces `path` with `bytes`, by way of a temporary file in `tmp` on the same file system.
pub fn replace(path: &Path, bytes: &[u8], tmp: &Path, durability: Durability) -> Result<()> {
    let mut file = temporary(tmp, 0o644)?;
    file.write_all(bytes).map_err(Error::io("write", file.path()))?;
    publish(file, path, durability)
}

/// Makes the names in `dir` durable.
pub fn sync_directory(dir: &Path, durability: Durability) -> Result<()> {
    if !durability.syncs() {
        return Ok(());
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}
