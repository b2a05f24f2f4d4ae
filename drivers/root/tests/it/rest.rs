//! A root that was closed in order is opened without looking at every layer.

use std::{fs, path::Path};

use storage_driver::{Error, Labels, LayerState, MountMode};
use storage_root::{Durability, Root};

use super::{create, id, mount, names, open, remove, seal};

/// `base` with `top` on it, and ten more.
fn fill(path: &Path) {
    let root = open(path).unwrap();
    create(&root, "base", None).unwrap();
    seal(&root, "base").unwrap();
    create(&root, "top", Some("base")).unwrap();
    (0..10).for_each(|n| create(&root, &format!("other{n}"), None).unwrap());
}

fn spoil(path: &Path, layer: &str) {
    fs::write(path.join("layers").join(layer).join("layer.json"), "{ not a record").unwrap();
}

#[test]
fn only_what_is_asked_for_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    // Nobody notices, unless they read it.
    spoil(dir.path(), "other3");
    let root = open(dir.path()).unwrap();
    assert!(root.was_at_rest() && root.recovered().is_empty());
    assert_eq!(root.chain(&id("top")).unwrap().len(), 2);
    assert_eq!(root.stat(&id("base")).unwrap().state, LayerState::Sealed);
    create(&root, "new", Some("base")).unwrap();
    remove(&root, "new").unwrap();
    remove(&root, "other4").unwrap();
    assert!(matches!(root.stat(&id("other4")), Err(Error::NotFound { .. })));
    assert!(matches!(root.stat(&id("nobody")), Err(Error::NotFound { .. })));
    assert!(matches!(create(&root, "top", None), Err(Error::Exists { .. })));
    for error in [root.stat(&id("other3")).unwrap_err(), root.list().unwrap_err()] {
        assert!(error.to_string().contains("layers/other3/layer.json"), "{error}");
    }
    fs::remove_dir_all(dir.path().join("layers/other3")).unwrap();
    let left: Vec<_> = root.list().unwrap().into_iter().map(|layer| layer.id.to_string()).collect();
    assert_eq!(left.len(), 10);
    assert_eq!(left.last().unwrap(), "top");
}

#[test]
fn children_that_were_not_read_keep_their_parent() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let root = open(dir.path()).unwrap();
    assert!(root.was_at_rest());
    let refused = remove(&root, "base").unwrap_err();
    assert!(matches!(&refused, Error::HasChildren { child, others: 0, .. } if child.as_str() == "top"), "{refused}");
    drop(root);
    let root = open(dir.path()).unwrap();
    assert!(root.was_at_rest());
    remove(&root, "top").unwrap();
    remove(&root, "base").unwrap();
}

#[test]
fn a_layer_whose_record_is_gone_is_named_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    fs::remove_file(dir.path().join("layers/base/layer.json")).unwrap();
    let root = open(dir.path()).unwrap();
    let refused = root.chain(&id("top")).unwrap_err();
    assert!(refused.to_string().contains("layers/base is damaged: its record is missing"), "{refused}");
    assert!(dir.path().join("layers/base/data").exists());
}

#[test]
fn who_was_killed_leaves_no_rest() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let root = open(dir.path()).unwrap();
    assert!(!dir.path().join("rest.json").exists(), "whoever is killed now must leave a root that is looked at");
    drop(root);
    fs::remove_file(dir.path().join("rest.json")).unwrap();
    assert!(!open(dir.path()).unwrap().was_at_rest());
    assert!(open(dir.path()).unwrap().was_at_rest());
}

/// A driver that failed to open after a crash, before it mended what it keeps beside its layers, must not say that all is well.
#[test]
fn a_driver_that_did_not_open_leaves_no_rest() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    fs::remove_file(dir.path().join("rest.json")).unwrap();
    let half_open = || Root::<String>::open(dir.path(), "test", Durability::Sync).unwrap();
    drop(half_open());
    assert!(!half_open().was_at_rest());
    drop(open(dir.path()).unwrap());
    // Nothing was out of order before this one, so nothing is after it.
    assert!(half_open().was_at_rest());
    assert!(half_open().was_at_rest());
}

#[test]
fn layers_that_were_moved_by_hand_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    fs::rename(dir.path().join("layers/other1"), dir.path().join("trash/5")).unwrap();
    let root = open(dir.path()).unwrap();
    assert!(!root.was_at_rest());
    assert_eq!(root.list().unwrap().len(), 11);
    assert!(names(dir.path().join("trash")).is_empty());
}

#[test]
fn what_the_last_boot_left_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let path = dir.path().join("rest.json");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let earlier = fs::read_to_string(&path).unwrap().replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
    fs::write(&path, earlier).unwrap();
    assert!(!open(dir.path()).unwrap().was_at_rest());
    let rest = fs::read_to_string(&path).unwrap();
    fs::write(&path, &rest[..rest.len() / 2]).unwrap();
    assert!(!open(dir.path()).unwrap().was_at_rest());
}

/// A layer that was sealed later and never settled is writable on disk, and something can stand on it: it must not be taken for
/// one that nothing stands on.
#[test]
fn a_writable_parent_is_no_rest() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let root = open(dir.path()).unwrap();
    create(&root, "later", None).unwrap();
    root.seal_later(&id("later"), |_, _| Ok(())).unwrap();
    create(&root, "child", Some("later")).unwrap();
    drop(root);
    for _ in 0..2 {
        let root = open(dir.path()).unwrap();
        assert!(!root.was_at_rest());
        assert!(matches!(remove(&root, "later"), Err(Error::HasChildren { .. })));
    }
}

#[test]
fn what_is_held_counts_at_rest() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let root = open(dir.path()).unwrap();
    let held = root.hold(mount(&root, "top", MountMode::ReadWrite, &std::sync::Arc::default()).unwrap()).unwrap();
    drop(root);
    let root = open(dir.path()).unwrap();
    assert!(root.was_at_rest());
    assert!(matches!(remove(&root, "top"), Err(Error::InUse { .. })));
    held.close().unwrap();
    remove(&root, "top").unwrap();
}

#[test]
fn a_failed_creation_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let root = open(dir.path()).unwrap();
    let failed = root.create(&id("new"), Some(&id("base")), &Labels::new(), |dir, _| {
        Err(Error::io("write", dir)(std::io::Error::from(std::io::ErrorKind::StorageFull)))
    });
    failed.unwrap_err();
    drop(root);
    assert!(open(dir.path()).unwrap().was_at_rest());
}
