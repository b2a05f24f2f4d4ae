use std::{collections::BTreeMap, ffi::OsString, sync::Arc};

/// Names one inode within a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

/// A complete directory tree, as inodes and the names that lead to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The root directory is the first.
    pub(crate) nodes: Vec<Node>,
}

/// One inode. Several names may lead to it: hard links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner, mode, time and xattrs.
    pub metadata: Metadata,
    /// What it is, and what it holds.
    pub kind: Kind,
}

/// What every inode has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Permissions with setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds and nanoseconds since the epoch.
    pub mtime: (i64, u32),
    /// Every xattr that we may see, ACLs and file capabilities among them.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Names and the inodes they lead to.
    Directory(BTreeMap<OsString, NodeId>),
    /// A regular file.
    File(Arc<Content>),
    /// A symlink and where it points.
    Symlink(OsString),
    /// A named pipe.
    Fifo,
    /// A unix socket's name.
    Socket,
    /// A character device and its number.
    Character(u64),
    /// A block device and its number.
    Block(u64),
}

/// A file's bytes; what no segment covers is a hole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The file's size.
    pub size: u64,
    /// Offset and bytes of each stretch of data, in order, apart from each other.
    pub segments: Vec<(u64, Vec<u8>)>,
}

impl Content {
    /// Bytes of data, holes not counted.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

impl Tree {
    /// An empty root directory, 0:0, mode 0755.
    pub(crate) fn empty(mtime: (i64, u32)) -> Self {
        let metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() };
        Self { nodes: vec![Node { metadata, kind: Kind::Directory(BTreeMap::new()) }] }
    }

    /// The root directory.
    pub(crate) const ROOT: NodeId = NodeId(0);

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The entries of a directory; none for anything else.
    pub(crate) fn entries(&self, id: NodeId) -> impl Iterator<Item = (&OsString, NodeId)> {
        let entries = match &self.node(id).kind {
            Kind::Directory(entries) => Some(entries),
            _ => None,
        };
        entries.into_iter().flatten().map(|(name, id)| (name, *id))
    }

    /// The inode that a name in a directory leads to.
    pub(crate) fn lookup(&self, directory: NodeId, name: &OsString) -> Option<NodeId> {
        match &self.node(directory).kind {
            Kind::Directory(entries) => entries.get(name).copied(),
            _ => None,
        }
    }
}
