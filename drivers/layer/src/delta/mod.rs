//! What differs between an upper tree and what lies below it: found once, then listed or written as a tar.

mod links;
mod same;
mod touched;
mod walk;

use std::cmp::Ordering;

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
    pub fn into_changes(mut self) -> Vec<Change> {
        use std::os::unix::ffi::OsStringExt;
        self.items.sort_by(|a, b| by_component(&a.path, &b.path));
        let change = |item: Item| Change::new(item.kind, std::ffi::OsString::from_vec(item.path));
        self.items.into_iter().map(change).collect()
    }
}

/// As [`Path`](std::path::Path)s are ordered, without taking them apart: what ends comes before what goes on.
fn by_component(a: &[u8], b: &[u8]) -> Ordering {
    let key = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    a.iter().map(key).cmp(b.iter().map(key))
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

    use super::*;

    #[test]
    fn paths_are_ordered_by_component() {
        let paths: [&[u8]; 9] = [b"", b"a", b"a/b", b"a/b/c", b"a.b", b"a-", b"a/\x01", b"a\x01", b"\xff/x"];
        for (a, b) in paths.iter().flat_map(|a| paths.iter().map(move |b| (*a, *b))) {
            let path = |bytes| Path::new(OsStr::from_bytes(bytes));
            assert_eq!(by_component(a, b), path(a).cmp(path(b)), "{a:?} {b:?}");
        }
    }
}
