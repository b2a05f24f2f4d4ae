use storage_driver::{Bytes, CopiedUp, Usage};

use crate::tree::{Kind, NodeId, Tree};

/// What `upper` takes beyond `lower`: as if every file that differs were stored whole.
pub fn usage(lower: Option<&Tree>, upper: &Tree) -> Usage {
    let mut usage = Usage::default();
    let mut counted = vec![false; upper.nodes.len()];
    add_usage(lower, lower.map(|_| Tree::ROOT), upper, Tree::ROOT, &mut counted, &mut usage);
    usage
}

fn add_usage(
    lower: Option<&Tree>,
    old: Option<NodeId>,
    upper: &Tree,
    new: NodeId,
    counted: &mut [bool],
    usage: &mut Usage,
) {
    let below = lower.zip(old);
    let (node, before) = (upper.node(new), below.map(|(tree, id)| tree.node(id)));
    let differs = before.is_none_or(|before| match (&before.kind, &node.kind) {
        (Kind::Directory(_), Kind::Directory(_)) => before.metadata != node.metadata,
        _ => before != node,
    });
    if differs && !std::mem::replace(&mut counted[new.0], true) {
        usage.inodes += 1;
        if let Kind::File(content) = &node.kind {
            usage.exclusive += Bytes(content.stored());
            if before.is_some_and(|before| matches!(before.kind, Kind::File(_))) {
                usage.copied_up = CopiedUp {
                    files: usage.copied_up.files + 1,
                    bytes: usage.copied_up.bytes + Bytes(content.stored()),
                };
            }
        }
    }
    for (name, child) in upper.entries(new) {
        let old = below.and_then(|(tree, id)| tree.lookup(id, name));
        add_usage(lower, old, upper, child, counted, usage);
    }
}
