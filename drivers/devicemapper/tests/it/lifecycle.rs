//! A layer's life, as the tools see it.

use std::{fs, os::unix::fs::MetadataExt};

use storage_driver::{MountMode, StorageDriver};

use crate::support::{Place, create, id, read, said, sealed, write};

#[test]
fn privileged_a_layer_is_a_snapshot_and_nothing_stays() {
    let place = Place::new();
    let driver = place.open(&[]);
    let base = sealed(&driver, "base", None, b"one");
    let layer = create(&driver, "layer", Some("base"));
    write(&driver, &layer, "layer", b"two");
    assert_eq!(place.devices(), [place.device("pool")]);
    let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
    assert_eq!(fs::read(view.path().join("base")).unwrap(), b"one");
    let mut names: Vec<_> = fs::read_dir(view.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["base", "layer"]);
    let table = said("dmsetup", &["table", &place.device("pool")]);
    assert!(table.contains("thin-pool") && table.contains("error_if_no_space"), "{table}");
    assert_eq!(place.devices().len(), 2);
    assert!(driver.shutdown().is_err());
    view.close().unwrap();
    driver.shutdown().unwrap();
    drop(driver);
    assert!(place.devices().is_empty(), "{:?}", place.devices());
    place.check_idle_pool(3);
    let driver = place.open(&[]);
    assert!(driver.recovered().is_empty(), "{:?}", driver.recovered());
    assert_eq!(read(&driver, &layer, "layer"), b"two");
    driver.remove(&layer).unwrap();
    driver.remove(&base).unwrap();
    assert!(driver.stat(&id("base")).is_err());
    drop(driver);
    place.check_idle_pool(1);
}

#[test]
fn privileged_usage_is_what_thin_ls_counts() {
    let place = Place::new();
    let driver = place.open(&[]);
    sealed(&driver, "base", None, &[1; 3 << 20]);
    let layer = create(&driver, "layer", Some("base"));
    let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
    fs::write(view.path().join("new"), vec![2; 1 << 20]).unwrap();
    let file = fs::File::options().write(true).open(view.path().join("base")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"four", 1 << 20).unwrap();
    drop(file);
    let mounted = driver.usage(&layer).unwrap();
    assert!(mounted.exclusive.get() >= 1 << 20, "{mounted:?}");
    view.close().unwrap();
    let usage = driver.usage(&layer).unwrap();
    let base = driver.usage(&id("base")).unwrap();
    assert_eq!(usage.inodes, 1);
    assert!(usage.copied_up.bytes.get() >= 65536 && usage.copied_up.bytes < usage.exclusive, "{usage:?}");
    drop(driver);
    // The base file system is device 1, the layers 2 and 3. Of these, only the last is shared with nobody.
    let listed = said("thin_ls", &["--no-headers", "-o", "DEV,EXCLUSIVE_BLOCKS", place.metadata()]);
    let exclusive = listed.lines().find_map(|line| line.trim().strip_prefix("3 ")).unwrap();
    assert_eq!(usage.exclusive.get(), exclusive.trim().parse::<u64>().unwrap() * 65536, "{listed}");
    assert!(base.exclusive.get() >= 3 << 20 && base.exclusive.get() < 5 << 20, "{base:?}");
}

#[test]
fn privileged_space_comes_back_to_the_file() {
    let place = Place::new();
    let driver = place.open(&[]);
    let held = || fs::metadata(place.root.join("data")).unwrap().blocks() * 512;
    let before = held();
    let layer = create(&driver, "layer", None);
    write(&driver, &layer, "f", &vec![7; 32 << 20]);
    assert!(held() > before + (30 << 20));
    driver.remove(&layer).unwrap();
    drop(driver);
    assert!(held() < before + (2 << 20), "{} and then {}", before, held());
}
