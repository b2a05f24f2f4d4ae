//! What changed, by generation: the same as by comparing the two trees, at the cost of the change.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use storage_driver::{LayerId, MountMode, StorageDriver};
use storage_layer::tree;
use storage_sys::btrfs;

use crate::{
    changes::{ACTS, Random, base},
    support::{Place, layer, sealed},
};

/// Fails unless the driver tells what the walk tells, as a list and as a tar; paths looked at are the answer.
fn equal(place: &Place, driver: &dyn StorageDriver, parent: &LayerId, id: &LayerId, what: &str) -> (u64, u64) {
    let (lower, upper) = (place.tree(parent), place.tree(id));
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let walked = tree::diff(Some(&lower), &upper, &mut expected).unwrap();
    let told = driver.diff(id, &mut found).unwrap();
    assert_eq!(driver.changes(id).unwrap(), tree::changes(Some(&lower), &upper).unwrap(), "{what}");
    assert!(expected == found, "{what}: the tars differ");
    assert_eq!((walked.entries, walked.content, walked.skipped), (told.entries, told.content, told.skipped), "{what}");
    (told.examined, walked.examined)
}

/// 20,000 files in 200 directories.
fn many(root: &Path) {
    for directory in 0..200 {
        let directory = root.join(format!("d{directory:03}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..100 {
            fs::write(directory.join(format!("f{file:02}")), "content").unwrap();
        }
    }
}

#[test]
fn privileged_one_change_in_20000_files_looks_at_few_paths() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, many);
    type Act = fn(&Path);
    let acts: [(&str, u64, Act); 6] = [
        ("edit", 4, |root| fs::write(root.join("d100/f50"), "changed").unwrap()),
        ("mode", 4, |root| fs::set_permissions(root.join("d100/f50"), PermissionsExt::from_mode(0o600)).unwrap()),
        ("delete", 3, |root| fs::remove_file(root.join("d100/f50")).unwrap()),
        ("create", 3, |root| fs::write(root.join("d100/new"), "new").unwrap()),
        ("rename", 4, |root| fs::rename(root.join("d100/f50"), root.join("d100/g50")).unwrap()),
        ("nothing", 0, |_| {}),
    ];
    for (what, most, act) in acts {
        let id = layer(&driver, what, Some(&base), act);
        let told = driver.diff(&id, &mut io::sink()).unwrap().examined;
        assert!(told <= most, "{what}: {told} paths were looked at");
        if what == "edit" {
            let (_, walked) = equal(&place, &driver, &base, &id, what);
            assert!(walked >= 40_000, "the walk looked at {walked} paths");
        }
    }
}

#[test]
fn privileged_every_kind_of_change_is_told_as_the_walk_tells_it() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, base);
    for (number, (what, act)) in ACTS.iter().enumerate() {
        let one = layer(&driver, &format!("one-{number}"), Some(&base), act);
        equal(&place, &driver, &base, &one, what);
        driver.seal(&one).unwrap();
        equal(&place, &driver, &base, &one, &format!("{what}, sealed"));
        // What a child is compared with may itself be a snapshot that was changed.
        let two =
            layer(&driver, &format!("two-{number}"), Some(&one), |root| fs::write(root.join("last"), "x").unwrap());
        let (told, _) = equal(&place, &driver, &one, &two, &format!("{what}, and on it"));
        assert_eq!(told, 1, "{what}: one new file on top");
    }
}

/// `BTRFS_SEEDS` makes it longer.
#[test]
fn privileged_random_changes_are_told_as_the_walk_tells_them() {
    let seeds = std::env::var("BTRFS_SEEDS").map_or(40, |seeds| seeds.parse().unwrap());
    let place = Place::new();
    let driver = place.open_with(&[("sync", "off")]);
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let mut some = |root: &Path, count| (0..count).for_each(|_| random.act(root));
        let mut parent = sealed(&driver, &format!("{seed}-0"), None, |root| some(root, 60));
        let mut layers = vec![parent.clone()];
        for level in 1..5 {
            let id = layer(&driver, &format!("{seed}-{level}"), Some(&parent), |root| some(root, 4 * level));
            equal(&place, &driver, &parent, &id, &format!("seed {seed}, layer {level}"));
            // It goes on as a container does.
            let mounted = driver.mount(&id, MountMode::ReadWrite).unwrap();
            some(mounted.path(), 8);
            equal(&place, &driver, &parent, &id, &format!("seed {seed}, layer {level}, mounted"));
            mounted.close().unwrap();
            driver.seal(&id).unwrap();
            equal(&place, &driver, &parent, &id, &format!("seed {seed}, layer {level}, sealed"));
            layers.push(id.clone());
            parent = id;
        }
        layers.iter().rev().for_each(|layer| driver.remove(layer).unwrap());
    }
}

/// The file system forgets the highest inode number when nothing has it any more and the subvolume is loaded anew.
#[test]
fn privileged_an_inode_number_that_is_used_again_is_another_file() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, |root| {
        for name in ["first", "last"] {
            fs::write(root.join(name), name).unwrap();
        }
    });
    let number = |layer: &LayerId, name: &str| {
        std::os::unix::fs::MetadataExt::ino(&fs::symlink_metadata(place.tree(layer).join(name)).unwrap())
    };
    let before = number(&base, "last");
    let top = layer(&driver, "top", Some(&base), |root| fs::remove_file(root.join("last")).unwrap());
    drop(driver);
    // A mount that is no longer needed lets the subvolume go.
    btrfs::sync(fs::File::open(place.path()).unwrap()).unwrap();
    place.remount();
    let driver = place.open();
    let mounted = driver.mount(&top, MountMode::ReadWrite).unwrap();
    fs::write(mounted.path().join("last"), "again").unwrap();
    mounted.close().unwrap();
    assert_eq!(number(&top, "last"), before, "this kernel does not use numbers again; the test shows nothing");
    equal(&place, &driver, &base, &top, "same number, other file");
}

/// Generations say nothing where the parent is not what the snapshot was made of any more; then the trees are compared.
#[test]
fn privileged_a_parent_that_was_tampered_with_is_compared_as_a_whole() {
    let place = Place::new();
    let driver = place.open();
    let base = sealed(&driver, "base", None, base);
    let top = layer(&driver, "top", Some(&base), |root| fs::write(root.join("new"), "new").unwrap());
    let tree = place.tree(&base);
    btrfs::set_read_only(fs::File::open(&tree).unwrap(), false).unwrap();
    fs::write(tree.join("d/g"), "tampered").unwrap();
    btrfs::sync(fs::File::open(&tree).unwrap()).unwrap();
    let (told, walked) = equal(&place, &driver, &base, &top, "tampered");
    assert_eq!(told, walked);
}

#[test]
fn privileged_the_walk_can_be_asked_for() {
    let place = Place::new();
    let driver = place.open_with(&[("diff", "walk")]);
    assert!(!driver.capabilities().native_diff.is_yes());
    let base = sealed(&driver, "base", None, base);
    let top = layer(&driver, "top", Some(&base), |root| fs::write(root.join("new"), "new").unwrap());
    let (told, walked) = equal(&place, &driver, &base, &top, "by walk");
    assert_eq!(told, walked);
}
