use std::collections::{BTreeMap, HashMap, HashSet};

use storage_driver::ChangeKind;

use super::{Delta, Item, Pair};
use crate::{
    Result,
    node::{Inode, Node},
    overlay::{marks, stack::Shown},
    source::split,
};

/// A path of the upper that has, or had below, other names.
#[derive(Debug, Clone)]
pub(super) struct LinkRecord {
    pub path: Vec<u8>,
    pub node: Node,
    pub lower: Option<Shown>,
}

/// Adds the paths that differ in nothing but which other paths are the same inode.
///
/// A tar says that names belong together by listing all of them, and applying an entry always makes a new inode.
/// So a group of names in the upper must be listed as a whole when
/// 1. one of its names is listed anyway, or
/// 2. its names were of different inodes below, or
/// 3. a name of the same inode below is still there and is not listed, yet is another inode now. Then one of the
///    two may stay unlisted: the one that kept its link count, for a copy-up leaves the other names of a lower's
///    inode as they are; else the first by name.
///
/// Deleting a name, or replacing its content, changes nothing for the names that stay.
pub(super) fn settle(
    pair: &Pair,
    records: &[LinkRecord],
    met: &HashMap<(usize, Inode), u64>,
    delta: &mut Delta,
) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let listed: HashSet<Vec<u8>> = delta.items.iter().map(|item| item.path.clone()).collect();
    let mut more: Vec<&LinkRecord> = Vec::new();
    let mut unlisted: BTreeMap<(usize, Inode), Vec<Vec<&LinkRecord>>> = BTreeMap::new();
    for group in groups(records) {
        match origin(&group, &listed) {
            Some(inode) => unlisted.entry(inode).or_default().push(group),
            None => more.extend(group),
        }
    }
    for (inode, mut parts) in unlisted {
        let kept_elsewhere = shows_elsewhere(pair, inode, &parts, met, delta)?;
        let keep = (!kept_elsewhere).then(|| keeper(&parts));
        for (index, part) in parts.drain(..).enumerate() {
            if keep != Some(index) {
                more.extend(part);
            }
        }
    }
    for record in more {
        if !listed.contains(&record.path) {
            let kind = if record.lower.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
            delta.items.push(Item { path: record.path.clone(), kind, node: Some(record.node) });
        }
    }
    Ok(())
}

/// The records by inode of the upper, each group and all groups sorted by path.
fn groups(records: &[LinkRecord]) -> Vec<Vec<&LinkRecord>> {
    let mut by_inode: HashMap<Inode, Vec<&LinkRecord>> = HashMap::new();
    for record in records {
        by_inode.entry(record.node.inode).or_default().push(record);
    }
    let mut groups: Vec<_> = by_inode.into_values().collect();
    for group in &mut groups {
        group.sort_by(|a, b| a.path.cmp(&b.path));
    }
    groups.sort_by(|a, b| a[0].path.cmp(&b[0].path));
    groups
}

/// The one inode below that a group of unlisted names comes from.
fn origin(group: &[&LinkRecord], listed: &HashSet<Vec<u8>>) -> Option<(usize, Inode)> {
    let below = |record: &LinkRecord| record.lower.as_ref().map(|lower| (lower.layer, lower.node.inode));
    let first = below(group[0])?;
    let whole = group.iter().all(|record| !listed.contains(&record.path) && below(record) == Some(first));
    whole.then_some(first)
}

fn keeper(parts: &[Vec<&LinkRecord>]) -> usize {
    let kept_count = |part: &Vec<&LinkRecord>| {
        part.iter().any(|record| record.lower.as_ref().is_some_and(|lower| lower.node.nlink == record.node.nlink))
    };
    parts.iter().position(kept_count).unwrap_or(0)
}

/// Whether an overlay shows a name of the inode that its upper directory does not hold. The walk has met all
/// names in almost every case; otherwise the lower that holds the inode is searched.
fn shows_elsewhere(
    pair: &Pair,
    inode: (usize, Inode),
    parts: &[Vec<&LinkRecord>],
    met: &HashMap<(usize, Inode), u64>,
    delta: &mut Delta,
) -> Result<bool> {
    if pair.namespace.is_none() {
        return Ok(false);
    }
    let Some(lower) = parts.first().and_then(|part| part[0].lower.as_ref()) else { return Ok(false) };
    if met.get(&inode).is_some_and(|&met| met >= lower.node.nlink) {
        return Ok(false);
    }
    for name in pair.lower.names_of(lower)? {
        delta.examined += 1;
        let same = |shown: Shown| (shown.layer, shown.node.inode) == inode;
        if !hidden_by_upper(pair, &name)? && pair.lower.find_path(&name)?.is_some_and(same) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the upper directory holds something at `path`, or keeps what lies below from showing there.
fn hidden_by_upper(pair: &Pair, path: &[u8]) -> Result<bool> {
    let Some(namespace) = pair.namespace else { return Ok(true) };
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
    for end in ends {
        let parent = &path[..end];
        match pair.upper.node(parent)? {
            None => return Ok(false),
            Some(node) if !node.is_dir() => return Ok(true),
            Some(_) => {}
        }
        let names = pair.upper.xattr_names(parent)?;
        if marks::of_directory(&pair.upper, parent, &names, namespace)?.opaque {
            return Ok(true);
        }
    }
    debug_assert!(!split(path).1.is_empty());
    Ok(pair.upper.node(path)?.is_some())
}
