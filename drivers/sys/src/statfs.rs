//! What kind of file system holds a path, and how much room it has.

use std::{fmt, io, path::Path};

/// A file system, by the name in /proc/filesystems, and its free space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Such as `ext4`.
    pub fs_type: String,
    /// Bytes that this user may still write.
    pub available: u64,
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:.1} GB free", self.fs_type, self.available as f64 / 1e9)
    }
}

/// How much fits into a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that it has.
    pub size: u64,
    /// Bytes that this user may still write.
    pub available: u64,
}

/// The room of the file system that `path` is on.
///
/// # Errors
/// When `path` is not there.
pub fn room(path: &Path) -> io::Result<Room> {
    let found = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Room { size: bytes(found.f_blocks), available: bytes(found.f_bavail) })
}

/// The file system that `path` is on.
///
/// # Errors
/// When `path` is not there or /proc is not.
pub fn of(path: &Path) -> io::Result<FileSystem> {
    let available = room(path)?.available;
    let holding = crate::mountinfo::holding(&path.canonicalize()?)?;
    let fs_type = holding.map_or_else(|| "unknown".to_owned(), |mount| mount.fs_type);
    Ok(FileSystem { fs_type, available })
}
