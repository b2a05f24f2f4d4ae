//! Mounts that outlive the driver: by whom they are seen, and what becomes of them.

use std::{
    fs,
    os::fd::AsFd,
    path::Path,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use rustix::fs::{FlockOperation, flock};
use storage_driver::{Error, HeldMount, MountMode};
use storage_root::Root;

use crate::{Layers, create, id, mount, names, open, remove, seal};

/// A root with the layer `a`, held read-write, closed; and how often it was unmounted.
fn held(dir: &Path) -> (HeldMount, Arc<std::sync::atomic::AtomicUsize>) {
    let root = open(dir).unwrap();
    create(&root, "a", None).unwrap();
    let unmounts = Arc::default();
    let mounted = mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap();
    let held = root.hold(mounted).unwrap();
    root.shutdown().unwrap();
    (held, unmounts)
}

fn refused_by_holder(answer: Result<impl std::fmt::Debug, Error>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("held by process {}", std::process::id())), "{error}");
}

#[test]
fn what_is_held_is_mounted_for_whoever_opens_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let (held, unmounts) = held(dir.path());
    let root = open(dir.path()).unwrap();
    assert!(root.recovered().is_empty());
    assert_eq!(root.mounted_path(&id("a")).as_deref(), Some(held.path()));
    refused_by_holder(remove(&root, "a"));
    refused_by_holder(seal(&root, "a"));
    refused_by_holder(root.with_writable(&id("a"), |_, _| Ok(())));
    refused_by_holder(mount(&root, "a", MountMode::ReadOnly, &unmounts));
    root.set_labels(&id("a"), &[("k".to_owned(), "v".to_owned())].into()).unwrap();
    let second = mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap();
    assert_eq!(second.path(), held.path());
    assert!(matches!(root.shutdown(), Err(Error::InUse { .. })));
    second.close().unwrap();
    root.shutdown().unwrap();
    refused_by_holder(remove(&root, "a"));
    assert_eq!(unmounts.load(SeqCst), 0);
    // The root is open, and notices all the same.
    held.close().unwrap();
    assert_eq!(unmounts.load(SeqCst), 1);
    assert!(root.mounted_path(&id("a")).is_none());
    remove(&root, "a").unwrap();
    assert!(names(dir.path().join("held")).is_empty());
}

#[test]
fn the_driver_that_it_came_from_may_stay_open_or_go() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "a", None).unwrap();
    let unmounts = Arc::default();
    let held = root.hold(mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap()).unwrap();
    refused_by_holder(remove(&root, "a"));
    drop(held);
    assert_eq!(unmounts.load(SeqCst), 1);
    seal(&root, "a").unwrap();
    let held = root.hold(mount(&root, "a", MountMode::ReadOnly, &unmounts).unwrap()).unwrap();
    drop(root);
    held.close().unwrap();
    assert_eq!(unmounts.load(SeqCst), 2);
    remove(&open(dir.path()).unwrap(), "a").unwrap();
}

#[test]
fn only_a_reference_alone_can_be_held() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "a", None).unwrap();
    let unmounts = Arc::default();
    let first = mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap();
    let second = mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap();
    let refused = root.hold(second).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    assert!(names(dir.path().join("held")).is_empty());
    // The refused reference was given back.
    let held = root.hold(first).unwrap();
    refused_by_holder(root.hold(mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap()));
    held.close().unwrap();
    remove(&root, "a").unwrap();
}

/// Lets go of the lock of a hold's file, as the end of the holder's process does, and keeps its `HeldMount` from doing more.
fn kill_holder(root: &Path, held: HeldMount) {
    let file = root.join("held").join(held.id().as_str());
    let found = fs::canonicalize(&file).unwrap();
    std::mem::forget(held);
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap().path();
        if fs::read_link(&entry).is_ok_and(|target| target == found) {
            unlock(&entry);
        }
    }
}

/// Through /proc a new file description would be opened, so the descriptor itself is borrowed.
fn unlock(entry: &Path) {
    let number: i32 = entry.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let pid = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()).unwrap();
    let same = rustix::process::pidfd_getfd(pid, number, rustix::process::PidfdGetfdFlags::empty()).unwrap();
    flock(same.as_fd(), FlockOperation::Unlock).unwrap();
}

#[test]
fn what_a_killed_holder_left_is_taken_away_by_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (held, unmounts) = held(dir.path());
    kill_holder(dir.path(), held);
    let root = open(dir.path()).unwrap();
    assert_eq!(root.recovered().iter().map(|left| left.kind).collect::<Vec<_>>(), ["hold"]);
    remove(&root, "a").unwrap();
    assert_eq!(unmounts.load(SeqCst), 0);
}

#[test]
fn a_root_that_is_open_notices_that_the_holder_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (held, unmounts) = held(dir.path());
    let root = open(dir.path()).unwrap();
    let reference = mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap();
    kill_holder(dir.path(), held);
    // The reference outlives the mount, and keeps the layer.
    assert!(matches!(remove(&root, "a"), Err(Error::InUse { .. })));
    assert!(names(dir.path().join("held")).is_empty());
    let again = mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap();
    reference.close().unwrap();
    assert_eq!(unmounts.load(SeqCst), 0);
    again.close().unwrap();
    assert_eq!(unmounts.load(SeqCst), 1);
    remove(&root, "a").unwrap();
}

#[test]
fn a_hold_that_cannot_be_written_down_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root: Layers = open(dir.path()).unwrap();
    create(&root, "a", None).unwrap();
    fs::remove_dir(dir.path().join("held")).unwrap();
    let unmounts = Arc::default();
    let refused = root.hold(mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("held/a"), "{refused}");
    assert_eq!(unmounts.load(SeqCst), 1);
    remove(&root, "a").unwrap();
    drop(root);
    drop(Root::<String>::open(dir.path(), "test", storage_root::Durability::Sync).unwrap());
}
