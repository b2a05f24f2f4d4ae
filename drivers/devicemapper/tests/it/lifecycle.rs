//! A layer's life, as the tools see it.

use std::{fs, time::Instant};

use storage_driver::{MountMode, StorageDriver};

use crate::support::{Place, create, id, read, said, sealed, write};

#[test]
fn privileged_layers_are_snapshots_and_nothing_stays() {
    let place = Place::new();
    let started = Instant::now();
    let driver = place.open(&[]);
    eprintln!("open: {:?}", started.elapsed());
    let base = sealed(&driver, "base", None, b"one");
    for round in 0..3 {
        let started = Instant::now();
        let layer = create(&driver, &format!("t{round}"), Some("base"));
        eprintln!("create: {:?}", started.elapsed());
        let started = Instant::now();
        let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
        eprintln!("mount: {:?}", started.elapsed());
        fs::write(view.path().join("x"), vec![1; 100_000]).unwrap();
        let started = Instant::now();
        view.close().unwrap();
        eprintln!("close: {:?}", started.elapsed());
        let started = Instant::now();
        driver.seal(&layer).unwrap();
        eprintln!("seal: {:?}", started.elapsed());
        let started = Instant::now();
        eprintln!("usage: {:?}", driver.usage(&layer).unwrap());
        eprintln!("usage: {:?}", started.elapsed());
        let started = Instant::now();
        driver.remove(&layer).unwrap();
        eprintln!("remove: {:?}", started.elapsed());
    }
    let layer = create(&driver, "layer", Some("base"));
    write(&driver, &layer, "layer", b"two");
    assert_eq!(read(&driver, &layer, "base"), b"one");
    eprintln!("{}", said("dmsetup", &["table"]));
    eprintln!("{}", said("dmsetup", &["status"]));
    eprintln!("{:#?}", driver.status());
    let view = driver.mount(&base, MountMode::ReadOnly).unwrap();
    let names: Vec<_> = fs::read_dir(view.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["base"]);
    assert_eq!(place.devices().len(), 2);
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
