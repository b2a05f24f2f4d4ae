//! Layers that are sealed now and durable later.

use std::cell::Cell;

use storage_driver::{LayerState, MountMode};

use super::*;

fn seal_later(root: &Layers, name: &str) {
    root.seal_later(&id(name), |_, data| {
        data.push_str(", sealed");
        Ok(())
    })
    .unwrap();
}

fn states(root: &Layers) -> Vec<(String, LayerState)> {
    root.list().unwrap().into_iter().map(|layer| (layer.id.to_string(), layer.state)).collect()
}

#[test]
fn several_layers_settle_with_two_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "a", None).unwrap();
    seal_later(&root, "a");
    create(&root, "b", Some("a")).unwrap();
    seal_later(&root, "b");
    let read_write = mount(&root, "b", MountMode::ReadWrite, &Arc::default());
    assert!(matches!(read_write, Err(Error::Sealed { .. })));
    let syncs = Cell::new(0);
    let sync = || {
        syncs.set(syncs.get() + 1);
        Ok(())
    };
    root.settle(sync).unwrap();
    assert_eq!(syncs.get(), 2);
    root.settle(sync).unwrap();
    assert_eq!(syncs.get(), 2, "nothing was left to be made durable");
    drop(root);
    let root = open(dir.path()).unwrap();
    assert_eq!(states(&root), [("a".into(), LayerState::Sealed), ("b".into(), LayerState::Sealed)]);
    assert_eq!(root.get(&id("b")).unwrap().driver, "made for b, sealed");
}

#[test]
fn what_was_not_settled_is_writable_on_disk_whatever_was_done_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    for (name, parent) in [("a", None), ("b", Some("a")), ("c", Some("b"))] {
        create(&root, name, parent).unwrap();
        seal_later(&root, name);
    }
    root.set_labels(&id("a"), &Labels::from([("k".into(), "v".into())])).unwrap();
    remove(&root, "c").unwrap();
    let failed = root.settle(|| Err(Error::io("sync", dir.path())(std::io::Error::other("broken"))));
    assert!(failed.is_err());
    drop(root);
    let root = open(dir.path()).unwrap();
    assert_eq!(states(&root), [("a".into(), LayerState::Writable), ("b".into(), LayerState::Writable)]);
    assert_eq!(root.stat(&id("a")).unwrap().labels["k"], "v");
}

#[test]
fn what_stands_on_a_layer_that_the_power_took_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    for (name, parent) in [("a", None), ("b", Some("a")), ("c", Some("b"))] {
        create(&root, name, parent).unwrap();
        seal_later(&root, name);
    }
    let record = root.layer_dir(&id("a")).join("layer.json");
    drop(root);
    fs::write(record, "").unwrap();
    let root = open(dir.path()).unwrap();
    assert_eq!(states(&root), []);
    assert_eq!(root.recovered().len(), 3);
    assert_eq!(names(dir.path().join("layers")), Vec::<String>::new());
}

#[test]
fn what_a_failed_sync_may_have_lost_is_never_called_durable() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    for (name, parent) in [("z", None), ("b", Some("z"))] {
        create(&root, name, parent).unwrap();
        seal_later(&root, name);
    }
    let fail = || Err(Error::io("sync", dir.path())(std::io::Error::other("broken")));
    root.settle(fail).unwrap_err();
    // The kernel has told it, and would not again.
    let error = root.settle(|| Ok(())).unwrap_err();
    assert!(error.to_string().contains("remove this layer"), "{error}");
    remove(&root, "b").unwrap();
    remove(&root, "z").unwrap();
    create(&root, "fresh", None).unwrap();
    seal_later(&root, "fresh");
    root.settle(|| Ok(())).unwrap();
    drop(root);
    assert_eq!(states(&open(dir.path()).unwrap()), [("fresh".into(), LayerState::Sealed)]);
}

#[test]
fn records_get_their_names_parents_first_and_are_synced_again_where_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    for (name, parent) in [("z", None), ("b", Some("z"))] {
        create(&root, name, parent).unwrap();
        seal_later(&root, name);
    }
    let aside = root.layer_dir(&id("z")).join(".layer.json.settled");
    let away = || {
        fs::remove_file(&aside).unwrap();
        Ok(())
    };
    root.settle(away).unwrap_err();
    let on_disk = |name: &str| fs::read_to_string(root.layer_dir(&id(name)).join("layer.json")).unwrap();
    assert!(!on_disk("b").contains("sealed\""), "a sealed layer stands on a writable one");
    let syncs = Cell::new(0);
    let second_fails = || {
        syncs.set(syncs.get() + 1);
        if syncs.get() == 2 { Err(Error::io("sync", dir.path())(std::io::Error::other("broken"))) } else { Ok(()) }
    };
    root.settle(second_fails).unwrap_err();
    root.settle(second_fails).unwrap();
    assert_eq!(syncs.get(), 3);
    drop(root);
    assert_eq!(states(&open(dir.path()).unwrap()).len(), 2);
}

#[test]
fn labels_that_are_set_between_the_syncs_stay() {
    let dir = tempfile::tempdir().unwrap();
    let root = open(dir.path()).unwrap();
    create(&root, "a", None).unwrap();
    seal_later(&root, "a");
    root.settle(|| root.set_labels(&id("a"), &Labels::from([("k".into(), "v".into())]))).unwrap();
    drop(root);
    let root = open(dir.path()).unwrap();
    assert_eq!(states(&root), [("a".into(), LayerState::Sealed)]);
    assert_eq!(root.stat(&id("a")).unwrap().labels["k"], "v");
}
