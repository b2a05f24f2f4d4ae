//! Writing files so that a crash leaves the old content or the new.

use std::{
    fs::{self, File, Permissions},
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
    sync_entry(path, durability)
}

/// As [`publish`], for a file that has a name already.
pub fn move_to(file: &File, from: &Path, path: &Path, durability: Durability) -> Result<()> {
    if durability.syncs() {
        file.sync_all().map_err(Error::io("sync", from))?;
    }
    fs::rename(from, path).map_err(Error::io("write", path))?;
    sync_entry(path, durability)
}

fn sync_entry(path: &Path, durability: Durability) -> Result<()> {
    path.parent().map_or(Ok(()), |dir| sync_directory(dir, durability))
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
