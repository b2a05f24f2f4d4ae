//! The file system that layers begin with.

use std::{fs, os::unix::fs::FileExt};

use storage_driver::{Bytes, CreateOptions, MountMode, StorageDriver};

use crate::support::{Place, create, id, read, said, sealed, write};

fn size_of(driver: &dyn StorageDriver, layer: &str) -> u64 {
    let view = driver.mount(&id(layer), MountMode::ReadWrite).unwrap();
    let found = rustix::fs::statvfs(view.path()).unwrap();
    view.close().unwrap();
    found.f_blocks * found.f_frsize
}

fn kind_of(driver: &dyn StorageDriver, layer: &str) -> String {
    let view = driver.mount(&id(layer), MountMode::ReadOnly).unwrap();
    let found = storage_sys::statfs::of(view.path()).unwrap().fs_type;
    view.close().unwrap();
    found
}

#[test]
fn privileged_a_layer_keeps_the_file_system_that_it_was_made_with() {
    let place = Place::new();
    let driver = place.open(&[("fs", "xfs")]);
    sealed(&driver, "xfs", None, b"x");
    let other = sealed(&driver, "other", Some("xfs"), b"y");
    let one = driver.mount(&id("xfs"), MountMode::ReadOnly).unwrap();
    let two = driver.mount(&other, MountMode::ReadOnly).unwrap();
    assert_eq!(fs::read(two.path().join("xfs")).unwrap(), b"x");
    one.close().unwrap();
    two.close().unwrap();
    drop(driver);
    let driver = place.open(&[("fs", "ext4")]);
    sealed(&driver, "ext4", None, b"e");
    create(&driver, "child", Some("other"));
    assert_eq!(kind_of(&driver, "child"), "xfs");
    assert_eq!(kind_of(&driver, "ext4"), "ext4");
    assert_eq!(read(&driver, &id("child"), "other"), b"y");
    drop(driver);
    // Two bases, four layers.
    place.check_idle_pool(6);
}

#[test]
fn privileged_the_base_grows_and_old_layers_stay() {
    let place = Place::new();
    let driver = place.open(&[("base_size", "256M")]);
    sealed(&driver, "small", None, b"s");
    drop(driver);
    let driver = place.open(&[("base_size", "512M")]);
    create(&driver, "large", None);
    create(&driver, "child", Some("small"));
    assert!(size_of(&driver, "large") > 400 << 20);
    assert!(size_of(&driver, "child") < 256 << 20);
    assert_eq!(read(&driver, &id("child"), "small"), b"s");
    drop(driver);
    place.check_idle_pool(4);
}

#[test]
fn privileged_a_size_beyond_the_base_grows_the_layer_on_both_file_systems() {
    for fs in ["ext4", "xfs"] {
        let place = Place::new();
        let driver = place.open(&[("fs", fs), ("base_size", "320M"), ("data_size", "4G")]);
        sealed(&driver, "base", None, b"s");
        let options = CreateOptions { size: Some(Bytes(2 << 30)), ..CreateOptions::default() };
        driver.create(&id("layer"), Some(&id("base")), &options).unwrap();
        assert!(size_of(&driver, "layer") > 2 << 30, "{fs}");
        write(&driver, &id("layer"), "f", b"x");
        driver.seal(&id("layer")).unwrap();
        create(&driver, "child", Some("layer"));
        assert!(size_of(&driver, "child") > 2 << 30, "{fs}");
        assert_eq!(read(&driver, &id("child"), "base"), b"s");
        drop(driver);
        place.check_idle_pool(4);
    }
}

#[test]
fn privileged_a_size_limits_what_is_added_on_both_file_systems_and_root_too() {
    for fs in ["ext4", "xfs"] {
        let place = Place::new();
        let driver = place.open(&[("fs", fs)]);
        let options = CreateOptions { size: Some(Bytes(20 << 20)), ..CreateOptions::default() };
        driver.create(&id("layer"), None, &options).unwrap();
        for round in 0..2 {
            let view = driver.mount(&id("layer"), MountMode::ReadWrite).unwrap();
            if round == 0 {
                fs::write(view.path().join("fits"), vec![1; 15 << 20]).unwrap();
            }
            let refused = fs::write(view.path().join("more"), vec![1; 10 << 20]).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull, "{fs}");
            fs::remove_file(view.path().join("more")).unwrap();
            view.close().unwrap();
        }
    }
}

#[test]
fn privileged_raw_blocks_of_a_new_layer_are_its_parents() {
    let place = Place::new();
    let driver = place.open(&[]);
    sealed(&driver, "base", None, b"s");
    create(&driver, "child", Some("base"));
    let (one, two) = (
        driver.mount(&id("base"), MountMode::ReadOnly).unwrap(),
        driver.mount(&id("child"), MountMode::ReadOnly).unwrap(),
    );
    let superblock = |number: &str| {
        let node = said("dmsetup", &["info", "-c", "--noheadings", "-o", "minor", &place.device(number)]);
        let mut bytes = vec![0; 4096];
        fs::File::open(format!("/dev/dm-{}", node.trim())).unwrap().read_exact_at(&mut bytes, 8192).unwrap();
        bytes
    };
    assert_eq!(superblock("2"), superblock("3"));
    one.close().unwrap();
    two.close().unwrap();
}
