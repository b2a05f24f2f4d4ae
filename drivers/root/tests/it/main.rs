//! The life-cycle rules that every driver with a root inherits, tried with a driver that keeps one file a layer.

mod delete;
mod holds;
mod rest;
mod settle;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use storage_driver::{Error, Labels, LayerId, LayerState, MountMode, MountedLayer, Result};
use storage_root::{Durability, Root, delete_tree, glance};

type Layers = Root<String>;

fn open(path: &Path) -> Result<Layers> {
    let root = Root::open(path, "test", Durability::Sync)?;
    root.ready();
    Ok(root)
}

fn id(name: &str) -> LayerId {
    LayerId::new(name).unwrap()
}

fn create(root: &Layers, name: &str, parent: Option<&str>) -> Result<()> {
    let parent = parent.map(id);
    root.create(&id(name), parent.as_ref(), &Labels::new(), |dir, _| {
        fs::write(dir.join("data"), name).map_err(Error::io("write", dir))?;
        Ok(format!("made for {name}"))
    })
}

fn seal(root: &Layers, name: &str) -> Result<()> {
    root.seal(&id(name), |_, _| Ok(()))
}

fn remove(root: &Layers, name: &str) -> Result<()> {
    root.remove(&id(name), |dir, _| delete_tree(dir))
}

fn mount(root: &Layers, name: &str, mode: MountMode, unmounts: &Arc<AtomicUsize>) -> Result<MountedLayer> {
    let unmounts = unmounts.clone();
    let path = root.layer_dir(&id(name));
    root.mount(
        &id(name),
        mode,
        |_, _| Ok(path),
        move |_| {
            unmounts.fetch_add(1, Ordering::SeqCst);
            Ok(())
        },
    )
}

fn names(dir: PathBuf) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn layers_and_labels_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "base", None).unwrap();
    seal(&root, "base").unwrap();
    create(&root, "top", Some("base")).unwrap();
    let labels = Labels::from([("a".to_owned(), "b".to_owned())]);
    root.set_labels(&id("top"), &labels).unwrap();
    let before = root.list().unwrap();
    drop(root);

    let root = open(dir.path()).unwrap();
    assert_eq!(root.list().unwrap(), before);
    assert_eq!(before[0].state, LayerState::Sealed);
    assert_eq!(before[1].labels, labels);
    assert!(before[1].updated > before[1].created);
    assert_eq!(root.get(&id("top")).unwrap().depth, 2);
    assert_eq!(root.get(&id("top")).unwrap().driver, "made for top");
    assert!(root.recovered().is_empty());
}

#[test]
fn parents_must_be_sealed_and_stay_while_they_have_children() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "base", None).unwrap();
    assert!(matches!(create(&root, "top", Some("base")), Err(Error::NotSealed { .. })));
    assert!(matches!(create(&root, "top", Some("nobody")), Err(Error::NotFound { .. })));
    seal(&root, "base").unwrap();
    create(&root, "top", Some("base")).unwrap();
    assert!(matches!(create(&root, "top", None), Err(Error::Exists { .. })));
    assert!(matches!(remove(&root, "base"), Err(Error::HasChildren { .. })));
    remove(&root, "top").unwrap();
    remove(&root, "base").unwrap();
    assert!(root.list().unwrap().is_empty());
    assert!(names(dir.path().join("layers")).is_empty());
    assert!(names(dir.path().join("trash")).is_empty());
}

#[test]
fn a_failed_creation_leaves_nothing_and_frees_the_parent() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "base", None).unwrap();
    seal(&root, "base").unwrap();
    let failed = root.create(&id("top"), Some(&id("base")), &Labels::new(), |_, _| {
        Err(Error::Unsupported { driver: "test", what: "make layers", why: "it is told to fail".to_owned() })
    });
    assert!(matches!(failed, Err(Error::Unsupported { .. })));
    assert!(names(dir.path().join("staging")).is_empty());
    remove(&root, "base").unwrap();
}

#[test]
fn mounts_are_counted_and_one_way_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    let unmounts = Arc::new(AtomicUsize::new(0));
    create(&root, "a", None).unwrap();
    let first = mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap();
    let second = mount(&root, "a", MountMode::ReadWrite, &unmounts).unwrap();
    assert_eq!(first.path(), second.path());
    assert!(matches!(mount(&root, "a", MountMode::ReadOnly, &unmounts), Err(Error::InUse { .. })));
    first.close().unwrap();
    assert_eq!(unmounts.load(Ordering::SeqCst), 0);
    assert!(matches!(seal(&root, "a"), Err(Error::InUse { .. })));
    assert!(matches!(remove(&root, "a"), Err(Error::InUse { .. })));
    assert!(matches!(root.shutdown(), Err(Error::InUse { .. })));
    drop(second);
    assert_eq!(unmounts.load(Ordering::SeqCst), 1);
    seal(&root, "a").unwrap();
    seal(&root, "a").unwrap();
    assert!(matches!(mount(&root, "a", MountMode::ReadWrite, &unmounts), Err(Error::Sealed { .. })));
    mount(&root, "a", MountMode::ReadOnly, &unmounts).unwrap().close().unwrap();
    root.shutdown().unwrap();
    root.shutdown().unwrap();
}

#[test]
fn a_second_opening_is_refused_and_told_who_holds_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(matches!(refused, Error::Locked { .. }));
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    drop(root);
    open(dir.path()).unwrap();
}

#[test]
fn another_drivers_root_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let refused = Root::<String>::open(dir.path(), "other", Durability::Sync).unwrap_err();
    assert!(matches!(refused, Error::Unusable { .. }), "{refused}");
}

#[test]
fn what_a_crash_left_is_taken_away_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "whole", None).unwrap();
    drop(root);
    // Killed while making one layer, while removing another; power lost before a third's record was written.
    fs::create_dir_all(dir.path().join("staging/half/deep")).unwrap();
    fs::create_dir_all(dir.path().join("trash/7/deep")).unwrap();
    fs::create_dir_all(dir.path().join("layers/torn")).unwrap();
    fs::write(dir.path().join("layers/torn/layer.json"), [0; 512]).unwrap();

    let root = open(dir.path()).unwrap();
    assert_eq!(root.list().unwrap().len(), 1);
    let kinds: Vec<_> = root.recovered().iter().map(|left| left.kind).collect();
    assert_eq!(kinds, ["partial layer", "partial layer", "removed layer"]);
    assert!(names(dir.path().join("staging")).is_empty());
    assert!(names(dir.path().join("trash")).is_empty());
    assert_eq!(names(dir.path().join("layers")), ["whole"]);
}

#[test]
fn damage_is_named_and_nothing_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "a", None).unwrap();
    drop(root);
    let record = dir.path().join("layers/a/layer.json");
    fs::write(&record, "{ not a record").unwrap();
    fs::remove_file(dir.path().join("rest.json")).unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains(record.to_str().unwrap()), "{refused}");
    assert!(dir.path().join("layers/a/data").exists());
}

#[test]
fn a_missing_parent_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "base", None).unwrap();
    seal(&root, "base").unwrap();
    create(&root, "top", Some("base")).unwrap();
    drop(root);
    fs::remove_dir_all(dir.path().join("layers/base")).unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("its parent base is missing"), "{refused}");
}

#[test]
fn one_of_many_threads_makes_a_layer_and_one_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    for _ in 0..20 {
        let count = |operation: fn(&Layers, &str) -> Result<()>| {
            thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| operation(&root, "a").is_ok())).collect();
                threads.into_iter().filter(|_| true).map(|thread| thread.join().unwrap()).filter(|&ok| ok).count()
            })
        };
        assert_eq!(count(|root, name| create(root, name, None)), 1);
        assert_eq!(count(remove), 1);
    }
    assert!(root.list().unwrap().is_empty());
}

/// An immutable file in a removed layer once kept the whole root from being opened.
#[test]
fn what_cannot_be_deleted_is_no_hindrance() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "whole", None).unwrap();
    drop(root);
    fs::create_dir_all(dir.path().join("trash/0/stays")).unwrap();
    let stubborn = |path: &Path| -> Result<()> { Err(Error::io("remove", path)(std::io::Error::from_raw_os_error(1))) };
    let root = Root::<String>::open_with(dir.path(), "test", Durability::Sync, &stubborn).unwrap();
    assert_eq!(root.list().unwrap().len(), 1);
    assert!(root.recovered().is_empty());
    remove(&root, "whole").unwrap();
    drop(root);
    open(dir.path()).unwrap();
    assert!(names(dir.path().join("trash")).is_empty());
}

#[test]
fn a_chain_is_told_of_while_the_root_is_somebody_elses() {
    let place = tempfile::tempdir().unwrap();
    let root = open(place.path()).unwrap();
    create(&root, "base", None).unwrap();
    seal(&root, "base").unwrap();
    create(&root, "top", Some("base")).unwrap();
    let chain = glance(root.path(), &id("top")).unwrap();
    assert_eq!(chain, [root.stat(&id("top")).unwrap(), root.stat(&id("base")).unwrap()]);
    assert!(matches!(glance(root.path(), &id("none")), Err(Error::NotFound { .. })));
    // A damaged record leads nobody round in circles.
    let record = root.layer_dir(&id("base")).join("layer.json");
    let text = fs::read_to_string(&record).unwrap().replace("\"parent\": null", "\"parent\": \"base\"");
    fs::write(&record, text).unwrap();
    assert!(matches!(glance(root.path(), &id("top")), Err(Error::Corrupt { .. })));
}
