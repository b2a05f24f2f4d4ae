mod compare;
mod scan;

use std::{collections::BTreeMap, path::Path};

pub use self::compare::{Difference, Rules};
use crate::{Digest, Result};

/// Everything that can be seen of a directory tree, for comparison with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// By path relative to the root, without a leading slash; the root itself is the empty path.
    pub entries: BTreeMap<Vec<u8>, Entry>,
}

/// One path of a [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is, with what only that kind has.
    pub kind: Kind,
    /// Permission, setuid, setgid and sticky bits: `st_mode & 07777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// All xattrs except overlayfs's own, by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path, in sorted order, of those within the tree that are the same inode; `None` when this is
    /// the only one.
    pub link_group: Option<Vec<u8>>,
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Bytes, holes included.
        size: u64,
        /// Of the whole content; holes read as zeros.
        digest: Digest,
        /// The parts that are not holes, in order (lseek(2), `SEEK_DATA`).
        data: Vec<Region>,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points, as it is written.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Major and minor number.
        device: (u32, u32),
    },
    /// A block device.
    BlockDevice {
        /// Major and minor number.
        device: (u32, u32),
    },
}

/// A part of a file that holds data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region {
    /// First byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

impl Manifest {
    /// Describes the tree at `root`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) naming what could not be read.
    pub fn scan(root: &Path) -> Result<Self> {
        scan::scan(root)
    }

    /// Where `other` is not as `self` says, sorted by path; empty when the trees are equal under `rules`.
    #[must_use]
    pub fn compare(&self, other: &Self, rules: &Rules) -> Vec<Difference> {
        compare::compare(self, other, rules)
    }
}
