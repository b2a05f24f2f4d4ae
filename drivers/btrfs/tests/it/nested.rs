//! Subvolumes that a container makes in its layer.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
};

use storage_driver::{MountMode, StorageDriver};
use storage_layer::{Manifest, Rules, tree};
use storage_sys::btrfs;

use crate::support::{Place, id, layer, sealed};

fn subvolumes(root: &Path) {
    fs::create_dir_all(root.join("var/lib")).unwrap();
    btrfs::create(File::open(root.join("var/lib")).unwrap(), "machines".as_ref()).unwrap();
    fs::write(root.join("var/lib/machines/file"), vec![7; 100_000]).unwrap();
    fs::hard_link(root.join("var/lib/machines/file"), root.join("var/lib/machines/link")).unwrap();
    btrfs::create(File::open(root.join("var/lib/machines")).unwrap(), "inner".as_ref()).unwrap();
    fs::write(root.join("var/lib/machines/inner/file"), "inner").unwrap();
    btrfs::set_read_only(File::open(root.join("var/lib/machines/inner")).unwrap(), true).unwrap();
    btrfs::create(File::open(root).unwrap(), "portables".as_ref()).unwrap();
    for (path, second) in [("var/lib/machines", 5), ("var/lib", 6), ("var", 7), ("portables", 8)] {
        crate::changes::set_times(&root.join(path), second).unwrap();
    }
}

/// A snapshot shows an empty directory where another subvolume was; children must see what was in it.
#[test]
fn privileged_what_is_in_them_is_in_the_children_too() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, |root| fs::write(root.join("f"), "f").unwrap());
    let top = layer(&driver, "top", Some(&base), subvolumes);
    let before = Manifest::scan(&place.tree(&top)).unwrap();
    let (mut by_walk, mut found) = (Vec::new(), Vec::new());
    tree::diff(Some(&place.tree(&base)), &place.tree(&top), &mut by_walk).unwrap();
    driver.diff(&top, &mut found).unwrap();
    assert!(found == by_walk, "the tars differ");

    driver.seal(&top).unwrap();
    assert_eq!(btrfs::nested(File::open(place.tree(&top)).unwrap()).unwrap(), []);
    let sealed = Manifest::scan(&place.tree(&top)).unwrap();
    assert_eq!(before.compare(&sealed, &Rules::default()), []);
    found.clear();
    driver.diff(&top, &mut found).unwrap();
    assert!(found == by_walk, "the tars of before and after differ");

    let child = layer(&driver, "child", Some(&top), |_| {});
    let seen = Manifest::scan(&place.tree(&child)).unwrap();
    assert_eq!(before.compare(&seen, &Rules::default()), []);
    assert!(driver.changes(&child).unwrap().is_empty());
    for layer in [&child, &top, &base] {
        driver.remove(layer).unwrap();
    }
    driver.wait_for_space().unwrap();
}

/// A crash while they became directories leaves a copy, which the next attempt takes away.
#[test]
fn privileged_a_copy_that_a_crash_left_is_no_part_of_the_layer() {
    let place = Place::new();
    let driver = place.open();
    let top = layer(&driver, "top", None, subvolumes);
    let tree = place.tree(&top);
    let before = Manifest::scan(&tree).unwrap();
    let uuid = btrfs::info(File::open(&tree).unwrap()).unwrap().uuid;
    let copy = tree.join(format!(".becomes-directory-{:032x}", u128::from_be_bytes(uuid)));
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("half"), "half").unwrap();
    crate::changes::set_times(&tree, 9).unwrap();
    drop(driver);
    let driver = place.open();
    driver.seal(&top).unwrap();
    let differences = before.compare(&Manifest::scan(&tree).unwrap(), &Rules::default());
    assert!(differences.iter().all(|one| one.to_string().contains("mtime")), "{differences:?}");
}

#[test]
fn privileged_the_root_is_a_subvolume_so_snapshots_of_its_surroundings_do_not_hold_layers() {
    let place = Place::new();
    fs::create_dir(place.root()).unwrap();
    fs::set_permissions(place.root(), std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    let driver = place.open();
    let found = fs::metadata(place.root()).unwrap();
    assert_eq!((found.ino(), found.mode() & 0o7777), (btrfs::ROOT_INODE, 0o750));
    assert_eq!(driver.status().pairs["root"], "subvolume");
    // One in which something is stays as it is, and works.
    fs::create_dir_all(place.path().join("other/root/kept")).unwrap();
    let other = driver_btrfs::Btrfs::open(&place.path().join("other/root"), driver_btrfs::Options::default()).unwrap();
    assert_eq!(other.status().pairs["root"], "directory");
    other.create(&id("layer"), None, &storage_driver::CreateOptions::default()).unwrap();
    let mounted = other.mount(&id("layer"), MountMode::ReadWrite).unwrap();
    fs::write(mounted.path().join("f"), "f").unwrap();
}
