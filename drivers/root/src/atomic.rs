use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use storage_driver::{Error, Result};

use crate::Durability;

/// Replaces `dir/name` with `bytes`, so that a reader, or a crash, meets the old content or the new, never a mix.
///
/// With [`Durability::Sync`] the new content is on disk when this returns.
///
/// # Errors
/// The file system's; the old content stays.
pub fn write_atomically(dir: &Path, name: &str, bytes: &[u8], durability: Durability) -> Result<()> {
    let path = dir.join(name);
    let temporary = dir.join(format!(".{name}.new"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        if durability.syncs() {
            file.sync_all()?;
        }
        fs::rename(&temporary, &path)
    };
    write().map_err(|error| {
        _ = fs::remove_file(&temporary);
        Error::io("write", &path)(error)
    })?;
    sync_directory(dir, durability)
}

/// Makes the names in `dir` durable (fsync(2): a file's own sync does not cover its directory entry).
pub fn sync_directory(dir: &Path, durability: Durability) -> Result<()> {
    if !durability.syncs() {
        return Ok(());
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}
