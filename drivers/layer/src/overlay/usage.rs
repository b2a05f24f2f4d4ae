use std::{collections::HashSet, os::fd::AsFd};

use storage_driver::{Bytes, Usage};

use super::XattrNamespace;
use crate::{
    Error, Result,
    delta::Pair,
    node::Node,
    source::{join, names_in, node_at},
    xattrs::Of,
};

/// Counts the upper directory, the directory itself included, every inode once.
pub(super) fn usage(pair: &Pair, namespace: XattrNamespace) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut seen = HashSet::new();
    let mut pending = vec![Vec::new()];
    if let Some(root) = pair.upper.node(b"")? {
        add(&mut usage, &root);
    }
    while let Some(path) = pending.pop() {
        let dir = match pair.upper.directory(&path) {
            Err(error) if pair.upper.has_lost(&error) => continue,
            dir => dir?,
        };
        let fail = || Error::io("list", pair.upper.full(&path));
        for name in names_in(dir.as_fd()).map_err(fail())? {
            let child = join(&path, &name);
            let Some(node) = node_at(dir.as_fd(), &name).map_err(fail())? else { continue };
            if node.nlink > 1 && !node.is_dir() && !seen.insert(node.inode) {
                continue;
            }
            add(&mut usage, &node);
            if node.is_dir() {
                pending.push(child);
                continue;
            }
            if !node.is_file() {
                continue;
            }
            let copied_up = match is_copied_up(pair, namespace, Of::Name(dir.as_fd(), &name), &child) {
                Err(error) if pair.upper.has_lost(&error) => false,
                answer => answer?,
            };
            if copied_up {
                usage.copied_up.files += 1;
                usage.copied_up.bytes += Bytes::from_stat_blocks(node.blocks);
            }
        }
    }
    Ok(usage)
}

fn add(usage: &mut Usage, node: &Node) {
    usage.exclusive += Bytes::from_stat_blocks(node.blocks);
    usage.inodes += 1;
}

/// overlayfs marks what it copies up with `origin`, even (as an empty value) where the lower has no file handles.
/// It leaves the mark out only when the copy breaks a lower's hard link, since the copy then stands for one of
/// several names (kernel: fs/overlayfs/copy_up.c). A file that was written anew over a lower's name has no mark.
fn is_copied_up(pair: &Pair, namespace: XattrNamespace, of: Of<'_>, path: &[u8]) -> Result<bool> {
    let mark = of.get(&namespace.key("origin")).map_err(Error::io("read the xattrs of", pair.upper.full(path)))?;
    if mark.is_some() {
        return Ok(true);
    }
    let below = pair.lower.find_path(path)?;
    Ok(below.is_some_and(|shown| shown.node.is_file() && shown.node.nlink > 1))
}
