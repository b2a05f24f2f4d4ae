use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
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

/// As [`write_atomically`], for content that is worth nothing after a power loss: a reader meets the old content or the new, and
/// after a crash of the machine the file may be empty.
///
/// A rename onto a file makes ext4 write the new one's data at once (ext4(5), `auto_da_alloc`), which takes longer than all the
/// rest. Two files that change their names with each other have nothing written.
///
/// # Errors
/// The file system's; the old content stays.
pub fn write_volatile(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, temporary) = (dir.join(name), dir.join(format!(".{name}.new")));
    let write = || {
        fs::write(&temporary, bytes)?;
        match renameat_with(CWD, &temporary, CWD, &path, RenameFlags::EXCHANGE) {
            Ok(()) => {
                // The old content; the next one who writes takes its place.
                _ = fs::remove_file(&temporary);
                Ok(())
            }
            // There was none, or the file system cannot do it.
            Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => fs::rename(&temporary, &path),
            Err(error) => Err(error.into()),
        }
    };
    write().inspect_err(|_| _ = fs::remove_file(&temporary)).map_err(Error::io("write", &path))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_replace_and_leave_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        for content in ["one", "another that is longer", "3"] {
            write_volatile(dir.path(), "volatile", content.as_bytes()).unwrap();
            write_atomically(dir.path(), "kept", content.as_bytes(), Durability::Sync).unwrap();
            for name in ["volatile", "kept"] {
                assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), content);
            }
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        }
        let missing = dir.path().join("missing");
        assert!(write_volatile(&missing, "volatile", b"").is_err());
    }

    #[test]
    fn readers_meet_one_content_or_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let contents = ["a".repeat(9000), "b".repeat(5)];
        write_volatile(dir.path(), "f", contents[0].as_bytes()).unwrap();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for round in 0..2000 {
                    write_volatile(dir.path(), "f", contents[round % 2].as_bytes()).unwrap();
                }
            });
            while !writing.is_finished() {
                let read = fs::read_to_string(dir.path().join("f")).unwrap();
                assert!(contents.contains(&read), "{} bytes", read.len());
            }
        });
    }
}
