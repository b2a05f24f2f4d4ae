//! A layer tar is right whatever overlayfs was told to do: laid over the parent's tree it gives the merged tree.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use driver_overlay2::Overlay2;
use storage_driver::{ChangeKind, Deviation, MountMode, StorageDriver};
use storage_layer::{ApplyOptions, Manifest, Rules};

use crate::support::{Place, apis, create, id, make, within};

fn fill(root: &Path) {
    for dir in ["kept", "moved/deep", "gone", "remade"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for file in ["kept/f", "moved/f", "moved/deep/f", "gone/f", "remade/old", "chmodded", "chowned", "deleted"] {
        fs::write(root.join(file), format!("content of {file}")).unwrap();
    }
    fs::write(root.join("large"), vec![7; 1 << 20]).unwrap();
}

fn change(root: &Path) {
    let mode = |path: &str, mode| fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("chmodded", 0o600);
    mode("large", 0o600);
    chown(root.join("chowned"), Some(5), Some(6)).unwrap();
    fs::remove_file(root.join("deleted")).unwrap();
    fs::remove_dir_all(root.join("gone")).unwrap();
    fs::remove_dir_all(root.join("remade")).unwrap();
    fs::create_dir(root.join("remade")).unwrap();
    fs::write(root.join("remade/new"), "new").unwrap();
    rename(&root.join("moved"), &root.join("away"));
    fs::write(root.join("away/more"), "more").unwrap();
    fs::rename(root.join("kept/f"), root.join("kept/g")).unwrap();
}

fn change_again(root: &Path) {
    fs::write(root.join("away/deep/f"), "changed").unwrap();
    fs::remove_file(root.join("away/f")).unwrap();
    fs::set_permissions(root.join("large"), fs::Permissions::from_mode(0o640)).unwrap();
}

/// As mv(1) does: renames, or copies where overlayfs does not let it.
fn rename(from: &Path, to: &Path) {
    let moved = std::process::Command::new("mv").arg(from).arg(to).status().unwrap();
    assert!(moved.success());
}

/// Lays the layers' tars over a plain directory and compares it with what the driver shows.
fn check(place: &Place, driver: &Overlay2, chain: &[&str]) {
    let plain = place.dir().join(format!("plain-{}", chain.len()));
    fs::create_dir(&plain).unwrap();
    for layer in chain {
        let mut tar = Vec::new();
        driver.diff(&id(layer), &mut tar).unwrap();
        let mut again = Vec::new();
        driver.diff(&id(layer), &mut again).unwrap();
        assert!(tar == again, "{layer} is exported in two ways");
        storage_layer::apply(&plain, &mut tar.as_slice(), &ApplyOptions::default()).unwrap();
    }
    let rules = Rules { ignore_root: true, ..Rules::default() };
    let top = chain.last().unwrap();
    within(driver, top, MountMode::ReadOnly, |root| {
        let differences = Manifest::scan(root).unwrap().compare(&Manifest::scan(&plain).unwrap(), &rules);
        assert!(differences.is_empty(), "{differences:?}");
    });
}

fn exports_are_right(pairs: &[(&str, &str)]) {
    let place = Place::new();
    let driver = place.open_with(pairs);
    make(&driver, "base", None, fill);
    make(&driver, "middle", Some("base"), change);
    make(&driver, "top", Some("middle"), change_again);
    check(&place, &driver, &["base", "middle"]);
    check(&place, &driver, &["base", "middle", "top"]);
    let changes = driver.changes(&id("top")).unwrap();
    let kind = |path: &str| changes.iter().find(|change| change.path == Path::new(path)).map(|change| change.kind);
    assert_eq!(kind("away/deep/f"), Some(ChangeKind::Modified));
    assert_eq!(kind("away/f"), Some(ChangeKind::Deleted));
    assert_eq!(kind("large"), Some(ChangeKind::Modified));
    assert_eq!(kind("kept"), None);

    // A layer made under other options on top, and the tar of such a one applied.
    drop(driver);
    let driver = place.open();
    create(&driver, "later", Some("middle"));
    within(&driver, "later", MountMode::ReadWrite, change_again);
    driver.seal(&id("later")).unwrap();
    let tar_of = |layer: &str| {
        let mut tar = Vec::new();
        driver.diff(&id(layer), &mut tar).unwrap();
        tar
    };
    create(&driver, "applied", Some("middle"));
    driver.apply(&id("applied"), &mut tar_of("top").as_slice()).unwrap();
    driver.seal(&id("applied")).unwrap();
    assert_eq!(driver.changes(&id("applied")).unwrap(), changes);
    let tree = |layer: &str| within(&driver, layer, MountMode::ReadOnly, |root| Manifest::scan(root).unwrap());
    let rules = Rules { ignore_times: true, ..Rules::default() };
    assert_eq!(tree("top").compare(&tree("later"), &rules), []);
    assert_eq!(tree("top").compare(&tree("applied"), &Rules::default()), []);
    for layer in ["middle", "top", "later", "applied"] {
        let usage = driver.usage(&id(layer)).unwrap();
        assert!(usage.inodes > 0 && usage.exclusive >= usage.copied_up.bytes, "{layer}: {usage:?}");
    }
}

#[test]
fn privileged_plain() {
    for api in apis() {
        exports_are_right(&[("mount_api", api)]);
    }
}

#[test]
fn privileged_with_redirect_dir() {
    exports_are_right(&[("redirect_dir", "on")]);
}

#[test]
fn privileged_with_metacopy() {
    for api in apis() {
        exports_are_right(&[("metacopy", "on"), ("mount_api", api)]);
    }
}

#[test]
fn privileged_options_do_what_they_are_for_and_are_told() {
    let place = Place::new();
    let driver = place.open_with(&[("metacopy", "on")]);
    assert!(!driver.capabilities().native_diff.is_yes());
    assert!(!driver.capabilities().deviations.contains(&Deviation::RenameParentDirectory));
    let status = driver.status().pairs;
    assert_eq!((status["metacopy"].as_str(), status["redirect_dir"].as_str()), ("on", "on"));
    make(&driver, "base", None, fill);
    make(&driver, "top", Some("base"), |root| {
        fs::set_permissions(root.join("large"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(root.join("moved"), root.join("away")).unwrap();
    });
    let with = driver.usage(&id("top")).unwrap().copied_up.bytes;
    drop(driver);

    let place = Place::new();
    let driver = place.open();
    assert!(driver.capabilities().native_diff.is_yes());
    make(&driver, "base", None, fill);
    make(&driver, "top", Some("base"), |root| {
        fs::set_permissions(root.join("large"), fs::Permissions::from_mode(0o600)).unwrap();
        let refused = fs::rename(root.join("moved"), root.join("away")).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::CrossesDevices);
    });
    let without = driver.usage(&id("top")).unwrap().copied_up.bytes;
    assert!(with.get() < 64 * 1024 && without.get() >= 1 << 20, "{with} with metacopy, {without} without");
}

/// The native diff looks at what changed only: 3 of 2,000 files.
#[test]
fn privileged_the_native_diff_costs_what_the_change_is() {
    let place = Place::new();
    let driver = place.open();
    make(&driver, "base", None, |root| {
        for number in 0..2000 {
            fs::write(root.join(number.to_string()), "x").unwrap();
        }
    });
    make(&driver, "top", Some("base"), |root| {
        for number in 0..3 {
            fs::write(root.join(number.to_string()), "changed").unwrap();
        }
    });
    let stats = driver.diff(&id("top"), &mut std::io::sink()).unwrap();
    assert_eq!(stats.entries, 3);
    assert!(stats.examined < 20, "{} paths were looked at", stats.examined);
}

/// What the trial at opening found out must be so for layers: here, on the file system of the root.
#[test]
fn privileged_deviations_are_those_that_show() {
    use std::{io::Write, os::unix::fs::FileExt};
    let place = Place::new();
    let driver = place.open();
    make(&driver, "base", None, |root| {
        let sparse = fs::File::create(root.join("sparse")).unwrap();
        sparse.write_all_at(b"start", 0).unwrap();
        sparse.write_all_at(b"end", 200_000).unwrap();
        fs::write(root.join("f"), "old").unwrap();
        fs::hard_link(root.join("f"), root.join("g")).unwrap();
    });
    create(&driver, "top", Some("base"));
    let deviations = within(&driver, "top", MountMode::ReadWrite, |root| {
        let before = fs::File::open(root.join("f")).unwrap();
        fs::write(root.join("f"), "new").unwrap();
        fs::OpenOptions::new().append(true).open(root.join("sparse")).unwrap().write_all(b"x").unwrap();
        let filled = std::os::unix::fs::MetadataExt::blocks(&root.join("sparse").metadata().unwrap()) > 200;
        [
            (Deviation::StaleReadDescriptor, std::io::read_to_string(before).unwrap() == "old"),
            (Deviation::HardLinkBreaks, fs::read_to_string(root.join("g")).unwrap() == "old"),
            (Deviation::CopyUpFillsHoles, filled),
        ]
    });
    for (deviation, shows) in deviations {
        assert_eq!(driver.capabilities().deviations.contains(&deviation), shows, "{deviation:?}");
    }
}
