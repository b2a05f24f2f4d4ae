//! Somebody still uses what is to go.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use storage_driver::{CreateOptions, MountMode, StorageDriver};

use crate::support::{Place, create, id, read, said, sealed};

#[test]
fn privileged_what_is_written_after_sealing_is_in_no_layer() {
    let place = Place::new();
    let driver = place.open(&[]);
    let layer = create(&driver, "layer", None);
    let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
    let mut late = File::create(view.path().join("f")).unwrap();
    late.write_all(b"in time").unwrap();
    view.close().unwrap();
    driver.seal(&layer).unwrap();
    late.write_all(b", and late").unwrap();
    late.sync_all().unwrap();
    assert_eq!(read(&driver, &layer, "f"), b"in time");
    create(&driver, "child", Some("layer"));
    assert_eq!(read(&driver, &id("child"), "f"), b"in time");
    drop(late);
    driver.shutdown().unwrap();
    drop(driver);
    assert!(place.devices().is_empty(), "{:?}", place.devices());
    place.check_idle_pool(3);
    let driver = place.open(&[]);
    assert!(driver.recovered().is_empty(), "{:?}", driver.recovered());
    assert_eq!(read(&driver, &layer, "f"), b"in time");
}

#[test]
fn privileged_a_layer_whose_file_is_open_is_removed_and_its_device_later() {
    let place = Place::new();
    let driver = place.open(&[]);
    let held = || fs::metadata(place.root.join("data")).unwrap().blocks() * 512;
    let before = held();
    let layer = create(&driver, "layer", None);
    let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
    let mut open = File::create(view.path().join("f")).unwrap();
    open.write_all(&vec![7; 32 << 20]).unwrap();
    view.close().unwrap();
    assert!(held() > before + (30 << 20));
    driver.remove(&layer).unwrap();
    assert!(driver.stat(&layer).is_err());
    assert_eq!(place.devices().len(), 2);
    drop(open);
    driver.create(&layer, None, &CreateOptions::default()).unwrap();
    assert_eq!(place.devices(), [place.device("pool")]);
    assert!(held() < before + (2 << 20), "{before} bytes before, {} after", held());
    drop(driver);
    place.check_idle_pool(2);
}

#[test]
fn privileged_a_snapshot_that_is_refused_leaves_nobody_suspended() {
    let place = Place::new();
    let driver = place.open(&[]);
    let layer = create(&driver, "layer", None);
    let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
    let mut late = File::create(view.path().join("f")).unwrap();
    late.write_all(b"in time").unwrap();
    view.close().unwrap();
    // A pool that changes nothing refuses the snapshot that sealing needs while the file is open.
    let pool = place.device("pool");
    let works = said("dmsetup", &["table", &pool]);
    let refuses = works.replace(" 2 skip_block_zeroing", " 3 read_only skip_block_zeroing");
    assert_ne!(works, refuses);
    let put_to_work = |table: &str| {
        said("dmsetup", &["reload", &pool, "--table", table.trim()]);
        said("dmsetup", &["suspend", &pool]);
        said("dmsetup", &["resume", &pool]);
    };
    put_to_work(&refuses);
    let refused = driver.seal(&layer).unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
    let state = said("dmsetup", &["info", "-c", "--noheadings", "-o", "suspended", &place.device("2")]);
    assert_eq!(state.trim(), "Active");
    put_to_work(&works);
    late.write_all(b", and on").unwrap();
    late.sync_all().unwrap();
    drop(late);
    driver.seal(&layer).unwrap();
    assert_eq!(read(&driver, &layer, "f"), b"in time, and on");
    driver.shutdown().unwrap();
    drop(driver);
    assert!(place.devices().is_empty(), "{:?}", place.devices());
}

#[test]
fn privileged_a_mount_in_another_namespace_is_no_hindrance() {
    let place = Place::new();
    let driver = place.open(&[]);
    let layer = create(&driver, "layer", None);
    let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
    let mut elsewhere =
        Command::new("unshare").args(["--mount", "--propagation", "private", "sleep", "60"]).spawn().unwrap();
    thread::sleep(Duration::from_millis(500));
    view.close().unwrap();
    driver.remove(&layer).unwrap();
    let left = place.devices();
    elsewhere.kill().unwrap();
    elsewhere.wait().unwrap();
    assert_eq!(left, [place.device("pool")]);
}

#[test]
fn privileged_who_holds_a_device_of_a_killed_process_is_named() {
    let place = Place::new();
    let driver = place.open(&[]);
    sealed(&driver, "base", None, b"x");
    drop(driver);
    // A process that keeps a layer's file open, and one with the driver that is killed.
    let mut child = crate::crash::worker(&place, "hold");
    let file = place.root.join("layers/base/merged/tree/base");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !file.exists() {
        assert!(Instant::now() < deadline, "the layer was not mounted");
        thread::sleep(Duration::from_millis(50));
    }
    let stdin = File::open(&file).unwrap();
    let mut holder = Command::new("sleep").arg("60").stdin(Stdio::from(stdin)).spawn().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let refused = place.try_open(&[]).map(drop);
    holder.kill().unwrap();
    holder.wait().unwrap();
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains(&format!("process {} (sleep)", holder.id())), "{refused}");
    let driver = place.open(&[]);
    assert_eq!(read(&driver, &id("base"), "base"), b"x");
    drop(driver);
    fs::metadata(&place.root).unwrap();
    assert!(place.devices().is_empty(), "{:?}", place.devices());
}
