use std::path::PathBuf;

use storage_driver::Bytes;

use crate::overlay::XattrNamespace;

/// How a layer tar is laid over a tree.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// What a whiteout does.
    pub whiteouts: Whiteouts,
    /// For [`Whiteouts::Overlay`]: the layers below the upper directory, topmost first. Symlinks of theirs are
    /// followed, directories and hard links' targets are copied up from them, and a whiteout is made only for
    /// what they show. Empty means that nothing lies below, so that every whiteout is void.
    pub lowers: Vec<PathBuf>,
    /// What becomes of the tar's owners.
    pub owners: Owners,
    /// What becomes of device nodes.
    pub devices: Devices,
    /// What the input may ask for.
    pub limits: Limits,
}

/// What a whiteout of the tar does to the tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whiteouts {
    /// It deletes: the tree holds the whole of what is shown.
    #[default]
    Remove,
    /// It is written in overlayfs's form: the tree is an upper directory.
    Overlay(XattrNamespace),
    /// Nothing: the tar is an archive of files and no layer, and such names are names like others.
    Literal,
}

/// What becomes of the tar's owners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Owners {
    /// They are set.
    #[default]
    Keep,
    /// Everything belongs to the caller. For a user namespace that maps one id only.
    Squash,
    /// Everything belongs to this user and group.
    Give(u32, u32),
}

/// What becomes of device nodes in the tar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Devices {
    /// They are made; that the kernel refuses is an error.
    #[default]
    Create,
    /// They are left out with a note, as in a user namespace, where nobody may make them.
    Skip,
}

/// What an untrusted tar may ask for; more is an error that names the entry.
///
/// The defaults are far above what real images hold and keep the memory that an import takes bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries, whiteouts included. An apply remembers each until its end, in at most 40 bytes.
    pub entries: u64,
    /// Directories that entries are in or make. Each is remembered in about 250 bytes.
    pub directories: u64,
    /// Bytes of the uncompressed tar.
    pub size: Bytes,
    /// Bytes of a file's apparent size, holes included.
    pub file_size: Bytes,
    /// Bytes of a path or of a link's target (the kernel's own `PATH_MAX` is 4096).
    pub path: usize,
    /// Bytes of one entry's extended headers, xattrs included.
    pub extended_header: usize,
    /// Xattrs of one entry.
    pub xattrs: usize,
    /// Data segments of one sparse file.
    pub sparse_segments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            directories: 200_000,
            size: Bytes(1 << 40),
            file_size: Bytes(1 << 43),
            path: 4096,
            extended_header: 1 << 20,
            xattrs: 1000,
            sparse_segments: 1 << 18,
        }
    }
}
