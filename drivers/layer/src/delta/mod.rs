//! What differs between an upper tree and what lies below it: found once, then listed or written as a tar.

mod links;
mod same;
mod touched;
mod walk;

use storage_driver::{Change, ChangeKind};

pub(crate) use self::walk::Walk;
use crate::{node::Node, overlay::stack::Stack, source::Source};

/// An upper tree, how it is to be read, and what lies below it.
#[derive(Debug)]
pub(crate) struct Pair {
    pub upper: Source,
    /// Set when `upper` is an overlay's upper directory rather than a whole tree.
    pub namespace: Option<crate::overlay::XattrNamespace>,
    pub lower: Stack,
}

/// One path that differs.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub path: Vec<u8>,
    pub kind: ChangeKind,
    /// What the upper has there; `None` for a deletion.
    pub node: Option<Node>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    pub items: Vec<Item>,
    /// Paths that were looked at.
    pub examined: u64,
}

impl Delta {
    /// For callers of the driver trait: sorted as [`Path`](std::path::Path)s are.
    pub fn into_changes(self) -> Vec<Change> {
        use std::os::unix::ffi::OsStringExt;
        let change = |item: Item| Change::new(item.kind, std::ffi::OsString::from_vec(item.path));
        let mut changes: Vec<_> = self.items.into_iter().map(change).collect();
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        changes
    }
}
