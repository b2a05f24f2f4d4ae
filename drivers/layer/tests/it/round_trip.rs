use storage_driver::Bytes;
use storage_layer::Digest;

use crate::tree_maker::{Tree, diff, lay};

#[test]
fn a_tree_of_plain_things_survives() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(dir.path(), "tree");
    tree.file("etc/passwd", "root").file("etc/empty", "").dir("var/empty").symlink("bin", "usr/bin");
    tree.file("big", vec![7; 3_000_000]).link("etc/link", "etc/passwd").fifo("fifo").mode("etc/passwd", 0o4711);
    tree.mtime("etc/empty", 5, 123_456_789).mtime("var", -7, 5).mtime("bin", 1, 1);
    let (tar, stats) = diff(None, &tree);
    assert!(stats.skipped.is_empty());
    let other = Tree::new(dir.path(), "other");
    let applied = lay(&tar, &other);
    assert_eq!(applied.diff_id, *Digest::of(&tar).as_bytes());
    assert_eq!((applied.size, applied.entries), (Bytes(tar.len() as u64), stats.entries));
    assert_eq!(applied.content, stats.content);
    other.assert_like(&tree);
    assert_eq!(diff(None, &other).0, tar, "the same tree gives other bytes");
}
