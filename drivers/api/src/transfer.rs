use std::path::PathBuf;

use crate::Bytes;

/// An entry that could not be carried over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the layer's root.
    pub path: PathBuf,
    /// Such as "sockets cannot be stored in a layer".
    pub why: &'static str,
}

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiffStats {
    /// Entries in the tar, whiteouts included.
    pub entries: u64,
    /// Bytes of file content in the tar.
    pub content: Bytes,
    /// Bytes of the whole tar.
    pub size: Bytes,
    /// Paths that were looked at to find out what changed: the cost of the search.
    pub examined: u64,
    /// What had to be left out.
    pub skipped: Vec<Skipped>,
}

/// What an import read and wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyStats {
    /// Entries in the tar, whiteouts included.
    pub entries: u64,
    /// Bytes of file content written.
    pub content: Bytes,
    /// Bytes of the uncompressed tar, to its end.
    pub size: Bytes,
    /// SHA-256 of the uncompressed tar: what OCI calls the DiffID.
    pub diff_id: [u8; 32],
    /// What had to be left out.
    pub skipped: Vec<Skipped>,
}
