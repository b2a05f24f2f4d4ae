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
    let old = if durability.syncs() { fs::read(&path).ok() } else { None };
    replace(dir, name, bytes, durability).map_err(Error::io("write", &path))?;
    sync_directory(dir, durability).inspect_err(|_| {
        // The new content is there already. Whoever is told of a failure goes on with the old one, and so must whoever
        // opens this next.
        let back = old.map_or_else(|| fs::remove_file(&path), |old| replace(dir, name, &old, Durability::Skip));
        if let Err(error) = back {
            tracing::warn!(path = %path.display(), %error, "a file that could not be synced keeps its new content");
        }
    })
}

fn replace(dir: &Path, name: &str, bytes: &[u8], durability: Durability) -> std::io::Result<()> {
    let temporary = dir.join(format!(".{name}.new"));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        if durability.syncs() {
            file.sync_all()?;
        }
        fs::rename(&temporary, dir.join(name))
    };
    write().inspect_err(|_| _ = fs::remove_file(&temporary))
}

/// Makes the names in `dir` durable (fsync(2): a file's own sync does not cover its directory entry).
pub fn sync_directory(dir: &Path, durability: Durability) -> Result<()> {
    if !durability.syncs() {
        return Ok(());
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}
