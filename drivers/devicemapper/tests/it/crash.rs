//! kill -9, and opening again.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use storage_driver::{CreateOptions, Error, LayerState, MountMode, StorageDriver};

use crate::{
    full::{check_lost, fill},
    support::{Place, create, id, read, said, sealed, write},
};

const WHAT: &str = "DEVICEMAPPER_TEST_WORKER";
const ROOT: &str = "DEVICEMAPPER_TEST_ROOT";

/// This program again, working on the place until it is killed.
pub fn worker(place: &Place, what: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::privileged_works_until_it_is_killed", "--nocapture"])
        .env(WHAT, what)
        .env(ROOT, &place.root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Nothing on its own; the body of [`worker`].
#[test]
fn privileged_works_until_it_is_killed() {
    let (Ok(what), Ok(root)) = (std::env::var(WHAT), std::env::var(ROOT)) else { return };
    let place = Place::at(root.into());
    if what == "fill" {
        let driver = place.open(SMALL);
        let view = driver.mount(&id("work"), MountMode::ReadWrite).unwrap();
        assert!(fill(&view.path().join("big"), 256 << 20));
        fs::write(place.path().join("full"), "").unwrap();
        thread::park();
    }
    let driver = place.open(&[]);
    if what == "hold" {
        let _view = driver.mount(&id("base"), MountMode::ReadOnly).unwrap();
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    }
    let run = std::process::id();
    thread::scope(|scope| {
        for thread in 0..2 {
            let driver = &driver;
            scope.spawn(move || {
                for round in 0.. {
                    let name = format!("l-{run}-{thread}-{round}");
                    let layer = id(&name);
                    let parent = (round > 0 && round % 3 != 0).then(|| id(&format!("l-{run}-{thread}-{}", round - 1)));
                    driver.create(&layer, parent.as_ref(), &CreateOptions::default()).unwrap();
                    write(driver, &layer, "name", name.as_bytes());
                    driver.seal(&layer).unwrap();
                    let spare = id(&format!("{name}-spare"));
                    driver.create(&spare, Some(&layer), &CreateOptions::default()).unwrap();
                    write(driver, &spare, "spare", name.as_bytes());
                    if round % 2 == 0 {
                        driver.remove(&spare).unwrap();
                    }
                }
            });
        }
    });
}

const SMALL: &[(&str, &str)] = &[("data_size", "128M"), ("min_free_space", "0")];

#[test]
fn privileged_writes_that_a_killed_process_has_lost_are_known_to_the_next() {
    let place = Place::new();
    create(&place.open(SMALL), "work", None);
    let mut child = worker(&place, "fill");
    // On an emulated processor, beside other tests, that takes more than a minute.
    let deadline = Instant::now() + Duration::from_secs(900);
    while !place.path().join("full").exists() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it did not fill the pool");
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let driver = place.open(&[]);
    check_lost(&driver, &id("work"));
    driver.remove(&id("work")).unwrap();
    assert_eq!(driver.list().unwrap(), []);
}

#[test]
fn privileged_killed_again_and_again_every_layer_is_whole_or_absent() {
    let place = Place::new();
    drop(place.open(&[]));
    for round in 0_u64..10 {
        let mut child = worker(&place, "layers");
        // Each time somewhere else, the opening itself included.
        thread::sleep(Duration::from_millis(150 + 397 * round % 2500));
        child.kill().unwrap();
        child.wait().unwrap();
        let driver = place.open(&[]);
        let layers = driver.list().unwrap();
        for info in &layers {
            if info.state == LayerState::Sealed {
                assert_eq!(read(&driver, &info.id, "name"), info.id.as_str().as_bytes());
            } else {
                driver.remove(&info.id).unwrap();
            }
        }
        let left = driver.list().unwrap();
        driver.shutdown().unwrap();
        drop(driver);
        assert!(place.devices().is_empty(), "{:?}", place.devices());
        place.check_idle_pool(left.len() + 1);
    }
    let driver = place.open(&[]);
    for info in driver.list().unwrap().iter().rev() {
        driver.remove(&info.id).unwrap();
    }
    drop(driver);
    place.check_idle_pool(1);
}

#[test]
fn privileged_a_device_that_a_killed_process_had_suspended_hangs_nobody() {
    let place = Place::new();
    let driver = place.open(&[]);
    sealed(&driver, "base", None, b"x");
    drop(driver);
    let mut child = worker(&place, "hold");
    let mounted = place.root.join("layers/base/merged/tree/base");
    while !mounted.exists() {
        thread::sleep(Duration::from_millis(50));
    }
    said("dmsetup", &["suspend", &place.device("2")]);
    said("dmsetup", &["suspend", "--noflush", &place.device("pool")]);
    child.kill().unwrap();
    child.wait().unwrap();
    let driver = place.open(&[]);
    assert!(driver.recovered().iter().any(|left| left.kind == "device"), "{:?}", driver.recovered());
    assert_eq!(read(&driver, &id("base"), "base"), b"x");
}

#[test]
fn privileged_devices_that_nobody_names_are_deleted_and_layers_without_theirs_are_absent() {
    let place = Place::new();
    let driver = place.open(&[]);
    sealed(&driver, "base", None, b"x");
    driver.create(&id("lost"), Some(&id("base")), &CreateOptions::default()).unwrap();
    said("dmsetup", &["message", &place.device("pool"), "0", "create_snap 77 2"]);
    said("dmsetup", &["message", &place.device("pool"), "0", "reserve_metadata_snap"]);
    said("dmsetup", &["message", &place.device("pool"), "0", "delete 3"]);
    drop(driver);
    let driver = place.open(&[]);
    let kinds: Vec<_> = driver.recovered().iter().map(|left| left.kind).collect();
    assert_eq!(kinds, ["partial layer", "thin device"], "{:?}", driver.recovered());
    assert!(matches!(driver.stat(&id("lost")), Err(Error::NotFound { .. })));
    driver.create(&id("lost"), Some(&id("base")), &CreateOptions::default()).unwrap();
    assert_eq!(read(&driver, &id("lost"), "base"), b"x");
    drop(driver);
    place.check_idle_pool(3);
}

#[test]
fn privileged_a_metadata_snapshot_that_was_not_let_go_of_does_not_stop_the_next() {
    let place = Place::new();
    let driver = place.open(&[]);
    let base = sealed(&driver, "base", None, b"x");
    said("dmsetup", &["message", &place.device("pool"), "0", "reserve_metadata_snap"]);
    for _ in 0..2 {
        assert!(driver.usage(&base).unwrap().exclusive.get() > 0);
    }
    let status = said("dmsetup", &["status", &place.device("pool")]);
    assert_eq!(status.split_whitespace().nth(6), Some("-"), "a snapshot is held: {status}");
}

#[test]
fn privileged_a_sealed_layer_without_its_device_and_another_pool_are_named() {
    let place = Place::new();
    let driver = place.open(&[]);
    sealed(&driver, "base", None, b"x");
    said("dmsetup", &["message", &place.device("pool"), "0", "delete 2"]);
    drop(driver);
    let refused = place.try_open(&[]).map(drop).unwrap_err();
    assert!(matches!(&refused, Error::Corrupt { path, .. } if path.ends_with("base")), "{refused}");
    // A record of another time.
    let record = place.root.join("pool.json");
    let json = fs::read_to_string(&record).unwrap();
    fs::write(&record, json.replace("\"session\": ", "\"session\": 4")).unwrap();
    let refused = place.try_open(&[]).map(drop).unwrap_err().to_string();
    assert!(refused.contains("restored"), "{refused}");
    fs::remove_file(&record).unwrap();
    let refused = place.try_open(&[]).map(drop).unwrap_err().to_string();
    assert!(refused.contains("pool.json"), "{refused}");
    fs::write(&record, json).unwrap();
}
