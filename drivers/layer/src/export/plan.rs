use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    os::unix::ffi::OsStringExt,
};

use storage_driver::Skipped;

use crate::{
    Result,
    delta::{Delta, Item},
    node::{Inode, Node, NodeKind},
    source::{Source, join, split},
};

/// What stands before the name of what is deleted.
const WHITEOUT: &[u8] = b".wh.";

/// The entries of a layer tar, in order.
#[derive(Debug)]
pub(super) struct Plan {
    pub entries: Vec<Planned>,
    pub skipped: Vec<Skipped>,
}

/// One entry to be.
#[derive(Debug)]
pub(super) struct Planned {
    /// As it stands in the tar.
    pub name: Vec<u8>,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Whiteout,
    /// A hard link to an earlier entry.
    Link {
        target: Vec<u8>,
        node: Node,
    },
    Node {
        path: Vec<u8>,
        node: Node,
    },
}

impl Plan {
    /// Gives all entries other names in the tar; they are read where they are.
    pub fn rename(&mut self, rename: &dyn Fn(&[u8]) -> Vec<u8>) {
        for entry in &mut self.entries {
            entry.name = rename(&entry.name);
            if let What::Link { target, .. } = &mut entry.what {
                *target = rename(target);
            }
        }
    }
}

impl Planned {
    /// Bytes to be read for it.
    pub fn body(&self) -> u64 {
        match &self.what {
            What::Node { node, .. } if node.is_file() => node.size,
            _ => 0,
        }
    }
}

pub(super) fn plan(source: &Source, delta: Delta) -> Result<Plan> {
    let mut planner = Planner { entries: BTreeMap::new(), skipped: BTreeMap::new() };
    for item in delta.items {
        planner.add(source, item)?;
    }
    let mut entries: Vec<_> = planner.entries.into_iter().map(|(name, what)| Planned { name, what }).collect();
    link(&mut entries);
    let skip = |(path, why)| Skipped { path: OsString::from_vec(path).into(), why };
    Ok(Plan { entries, skipped: planner.skipped.into_iter().map(skip).collect() })
}

struct Planner {
    entries: BTreeMap<Vec<u8>, What>,
    skipped: BTreeMap<Vec<u8>, &'static str>,
}

impl Planner {
    fn add(&mut self, source: &Source, item: Item) -> Result<()> {
        if let Some(reserved) = reserved(&item.path) {
            self.skipped.insert(reserved.to_vec(), "names that start with .wh. mean a deletion in a layer tar");
            return Ok(());
        }
        if !self.above(source, &item.path)? {
            return Ok(());
        }
        let Item { path, kind, node } = item;
        match node {
            None => self.whiteout(&path),
            Some(node) if node.kind == NodeKind::Socket => {
                // What was there before is gone, even if its successor cannot be told.
                if kind == storage_driver::ChangeKind::Modified {
                    self.whiteout(&path);
                }
                self.skipped.insert(path, "sockets cannot be stored in a layer");
            }
            Some(node) => self.node(path, node),
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8]) {
        let (parent, name) = split(path);
        self.entries.insert(join(parent, &[WHITEOUT, name].concat()), What::Whiteout);
    }

    fn node(&mut self, path: Vec<u8>, node: Node) {
        self.entries.insert(tar_name(&path, &node), What::Node { path, node });
    }

    /// Adds the directories above `path`; false if one of them has vanished meanwhile.
    fn above(&mut self, source: &Source, path: &[u8]) -> Result<bool> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for slash in slashes {
            if self.entries.contains_key(&path[..=slash]) {
                continue;
            }
            match source.node(&path[..slash])? {
                Some(node) if node.is_dir() => self.node(path[..slash].to_vec(), node),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn tar_name(path: &[u8], node: &Node) -> Vec<u8> {
    match (path.is_empty(), node.is_dir()) {
        (true, _) => b"./".to_vec(),
        (false, true) => [path, b"/"].concat(),
        (false, false) => path.to_vec(),
    }
}

/// The part of the path down to a component that a reader would take for a whiteout.
fn reserved(path: &[u8]) -> Option<&[u8]> {
    let mut start = 0;
    for component in path.split(|&byte| byte == b'/') {
        let end = start + component.len();
        if component.starts_with(WHITEOUT) {
            return Some(&path[..end]);
        }
        start = end + 1;
    }
    None
}

/// The first name of an inode carries its data, the others are links to it.
fn link(entries: &mut [Planned]) {
    let mut first: HashMap<Inode, Vec<u8>> = HashMap::new();
    for entry in entries {
        let What::Node { node, .. } = &entry.what else { continue };
        if node.is_dir() || node.nlink < 2 {
            continue;
        }
        let node = *node;
        if let Some(target) = first.get(&node.inode) {
            entry.what = What::Link { target: target.clone(), node };
        } else {
            first.insert(node.inode, entry.name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_found_anywhere() {
        assert_eq!(reserved(b"a/b.wh.c"), None);
        assert_eq!(reserved(b".wh.a"), Some(&b".wh.a"[..]));
        assert_eq!(reserved(b"a/.wh..wh..opq"), Some(&b"a/.wh..wh..opq"[..]));
        assert_eq!(reserved(b"a/.wh.b/c"), Some(&b"a/.wh.b"[..]));
    }
}
