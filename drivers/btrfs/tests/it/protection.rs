//! Sealed layers, crashes, and places where the driver cannot work.

use std::{
    fs::{self, File},
    io,
};

use driver_btrfs::{Btrfs, Options};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use storage_driver::{CreateOptions, Error, LayerState, MountMode, StorageDriver};
use storage_sys::btrfs;

use crate::support::{Place, id, layer, sealed};

#[test]
fn privileged_a_sealed_layer_is_read_only_and_stays_so() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
    let read_only = |answer: io::Result<()>| {
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
    };
    // Also where it lies, past every mount.
    read_only(fs::write(place.tree(&base).join("f"), "x"));
    let mounted = driver.mount(&base, MountMode::ReadOnly).unwrap();
    read_only(fs::write(mounted.path().join("f"), "x"));
    // Its owner, as root in a container is, could make a read-only subvolume writable, but not through this mount.
    read_only(btrfs::set_read_only(File::open(mounted.path()).unwrap(), false));
    mounted.close().unwrap();
    let top = layer(&driver, "top", Some(&base), |_| {});
    let mounted = driver.mount(&top, MountMode::ReadOnly).unwrap();
    read_only(fs::write(mounted.path().join("f"), "x"));
    mounted.close().unwrap();
}

#[test]
fn privileged_what_a_crash_left_is_taken_away_with_its_subvolumes() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
    drop(driver);
    // As a killed process leaves them: a layer half made, one half removed, one without a record, each with a subvolume.
    for dir in ["staging/half", "trash/7", "layers/recordless"] {
        let dir = place.root().join(dir);
        fs::create_dir(&dir).unwrap();
        let parent = File::open(place.tree(&base)).unwrap();
        btrfs::snapshot(parent, File::open(&dir).unwrap(), "tree".as_ref(), false).unwrap();
        btrfs::create(File::open(dir.join("tree")).unwrap(), "nested".as_ref()).unwrap();
        btrfs::set_read_only(File::open(dir.join("tree")).unwrap(), true).unwrap();
    }
    let driver = place.open();
    assert_eq!(driver.recovered().len(), 3, "{:?}", driver.recovered());
    assert_eq!(driver.list().unwrap().len(), 1);
    driver.wait_for_space().unwrap();
    let held = btrfs::nested(File::open(place.root()).unwrap()).unwrap();
    assert_eq!(held.len(), 1, "{held:?}");
}

/// A layer is read-only before its record says that it is sealed.
#[test]
fn privileged_a_layer_that_was_nearly_sealed_is_writable_again() {
    let place = Place::new();
    let driver = place.open();
    for name in ["mounted", "applied"] {
        let top = layer(&driver, name, None, |_| {});
        btrfs::set_read_only(File::open(place.tree(&top)).unwrap(), true).unwrap();
    }
    drop(driver);
    let driver = place.open();
    assert_eq!(driver.stat(&id("mounted")).unwrap().state, LayerState::Writable);
    let mounted = driver.mount(&id("mounted"), MountMode::ReadWrite).unwrap();
    fs::write(mounted.path().join("f"), "f").unwrap();
    mounted.close().unwrap();
    let empty = vec![0; 1024];
    driver.apply(&id("applied"), &mut &*empty).unwrap();
    fs::write(place.tree(&id("applied")).join("f"), "f").unwrap();
}

#[test]
fn a_root_elsewhere_is_refused_with_the_remedy_and_nothing_is_made() {
    for base in ["/tmp", "/dev/shm"] {
        let dir = tempfile::tempdir_in(base).unwrap();
        let root = dir.path().join("deep/root");
        let refused = Btrfs::open(&root, Options::default()).unwrap_err();
        assert!(matches!(refused, Error::Unusable { .. }), "{refused}");
        let said = refused.to_string();
        assert!(said.contains("--testbed loop:btrfs") && said.contains("mkfs.btrfs"), "{said}");
        assert!(!dir.path().join("deep").exists());
    }
}

#[test]
fn privileged_without_the_right_to_search_trees_it_is_refused_with_the_remedy() {
    let place = Place::new();
    // A capability is a thread's own.
    let refused = std::thread::scope(|scope| {
        let open = || {
            let mut rights = capabilities(None).unwrap();
            rights.effective.remove(CapabilitySet::SYS_ADMIN);
            set_capabilities(None, rights).unwrap();
            Btrfs::open(&place.root(), Options::default()).unwrap_err()
        };
        scope.spawn(open).join().unwrap()
    });
    assert!(matches!(refused, Error::Unusable { .. }), "{refused}");
    assert!(refused.to_string().contains("run it as root"), "{refused}");
    assert!(!place.root().exists());
}

#[test]
fn privileged_sixteen_threads_make_and_remove_layers_side_by_side() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (driver, base) = (&driver, &base);
            scope.spawn(move || {
                for round in 0..5 {
                    let id = layer(driver, &format!("{thread}-{round}"), Some(base), |root| {
                        fs::write(root.join("f"), format!("{thread}")).unwrap();
                    });
                    assert_eq!(driver.changes(&id).unwrap().len(), 1);
                    driver.remove(&id).unwrap();
                }
            });
        }
    });
    driver.shutdown().unwrap();
    driver.create(&id("last"), Some(&base), &CreateOptions::default()).unwrap();
    assert_eq!(driver.list().unwrap().len(), 2);
}
