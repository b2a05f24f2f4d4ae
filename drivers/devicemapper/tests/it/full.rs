//! No room: said within seconds, and over as soon as there is some.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

use storage_driver::{Bytes, CreateOptions, Error, LayerId, MountMode, StorageDriver};
use storage_sys::dm::{Control, thin::Pool};

use crate::support::{Place, create, id, read, said, sealed, write};

/// A refusal takes less, also where processors are emulated.
const SOON: Duration = Duration::from_secs(30);

/// What `work` answers, which must not take long.
fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let answer = work();
    assert!(started.elapsed() < SOON, "{what} took {:?}", started.elapsed());
    answer
}

/// Writes until it fails, at most `limit` bytes; whether it failed.
pub fn fill(path: &std::path::Path, limit: usize) -> bool {
    let write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        for _ in 0..limit >> 20 {
            file.write_all(&[5; 1 << 20])?;
        }
        file.sync_all()
    };
    write().is_err()
}

#[test]
fn privileged_a_full_pool_says_so_and_grows_on_both_file_systems() {
    for fs in ["ext4", "xfs"] {
        let place = Place::new();
        let driver = place.open(&[("fs", fs), ("data_size", "128M"), ("min_free_space", "20%")]);
        sealed(&driver, "base", None, b"x");
        let layer = create(&driver, "layer", Some("base"));
        let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
        assert!(fill(&view.path().join("big"), 256 << 20), "{fs}: 256 MiB went into a pool of 128");
        let closed = soon("closing", || view.close());
        let next = || driver.create(&id("next"), Some(&id("base")), &CreateOptions::default());
        let refused = soon("refusing a layer", next).unwrap_err();
        assert!(refused.is_no_space(), "{fs}: {refused}");
        assert!(refused.to_string().contains("data_size"), "{fs}: {refused}");
        let refused = closed.expect_err("what found no room was closed without a word");
        assert!(refused.is_no_space(), "{fs}: {refused}");
        check_lost(&driver, &layer);
        driver.grow(Bytes(1 << 30), Bytes(0)).unwrap();
        check_lost(&driver, &layer);
        create(&driver, "next", Some("base"));
        write(&driver, &id("next"), "f", &vec![1; 64 << 20]);
        driver.seal(&id("next")).unwrap();
        assert_eq!(read(&driver, &id("next"), "base"), b"x");
        drop(driver);
        let driver = place.open(&[("fs", fs)]);
        check_lost(&driver, &layer);
        driver.mount(&layer, MountMode::ReadOnly).unwrap().close().unwrap();
        driver.remove(&layer).unwrap();
        driver.shutdown().unwrap();
        drop(driver);
        assert!(place.devices().is_empty(), "{fs}: {:?}", place.devices());
        place.check_idle_pool(3);
    }
}

/// What was written to `layer` is lost, and nothing is done with it as if it were not.
pub fn check_lost(driver: &dyn StorageDriver, layer: &LayerId) {
    let answers = [
        soon("refusing to seal", || driver.seal(layer)),
        driver.mount(layer, MountMode::ReadWrite).map(drop),
        driver.diff(layer, &mut std::io::sink()).map(drop),
        driver.changes(layer).map(drop),
        driver.apply(layer, &mut std::io::empty()).map(drop),
    ];
    for answer in answers {
        assert!(matches!(&answer, Err(Error::Lost { id, .. }) if id == layer), "{answer:?}");
    }
}

#[test]
fn privileged_few_free_blocks_are_enough_to_refuse_a_layer_and_opening_grows() {
    let place = Place::new();
    let driver = place.open(&[("data_size", "128M"), ("min_free_space", "50%")]);
    let layer = create(&driver, "layer", None);
    let (control, pool) = (Control::open().unwrap(), place.device("pool"));
    let before = control.find(&pool).unwrap().unwrap().event;
    write(&driver, &layer, "f", &vec![1; 80 << 20]);
    // Those who watch the pool are told when it passes its low-water mark.
    assert!(control.wait(&pool, before).unwrap().event > before);
    let refused = driver.create(&id("next"), None, &CreateOptions::default()).unwrap_err();
    assert!(refused.is_no_space() && refused.to_string().contains("50%"), "{refused}");
    drop(driver);
    let driver = place.open(&[("data_size", "256M"), ("min_free_space", "50%")]);
    create(&driver, "next", None);
    drop(driver);
    // A smaller size is no wish to shrink.
    let driver = place.open(&[("data_size", "64M")]);
    assert!(driver.status().pairs["pool data"].ends_with("268MB"), "{:?}", driver.status());
}

#[test]
fn privileged_full_metadata_says_so_and_grows() {
    let place = Place::new();
    let options = [("metadata_size", "1M"), ("min_free_space", "0")];
    let driver = place.open(&options);
    sealed(&driver, "base", None, b"x");
    // Each layer that is written to has a few metadata blocks of its own.
    let refused = (0..300)
        .find_map(|number| {
            let layer = id(&format!("l{number}"));
            let create = || driver.create(&layer, Some(&id("base")), &CreateOptions::default());
            let write = || {
                let view = driver.mount(&layer, MountMode::ReadWrite)?;
                _ = fs::write(view.path().join("f"), "x");
                view.close()
            };
            soon("making a layer", create).and_then(|()| soon("writing to it", write)).err()
        })
        .expect("1 MiB of metadata was enough for 300 layers");
    assert!(refused.to_string().contains("metadata") || refused.is_no_space(), "{refused}");
    drop(driver);
    assert!(place.devices().is_empty(), "{:?}", place.devices());
    let larger = [("metadata_size", "32M"), ("min_free_space", "10")];
    let driver = match place.try_open(&larger) {
        Ok(driver) => driver,
        Err(error) => {
            assert!(error.to_string().contains("thin_check --clear-needs-check-flag"), "{error}");
            said("thin_check", &["--clear-needs-check-flag", place.metadata()]);
            place.open(&larger)
        }
    };
    create(&driver, "next", Some("base"));
    assert_eq!(read(&driver, &id("next"), "base"), b"x");
    for info in driver.list().unwrap().iter().rev() {
        driver.remove(&info.id).unwrap();
    }
    drop(driver);
    place.check_idle_pool(1);
}

#[test]
fn privileged_metadata_grows_while_layers_are_in_use() {
    let place = Place::new();
    let driver = place.open(&[("metadata_size", "4M")]);
    let layer = create(&driver, "layer", None);
    let view = driver.mount(&layer, MountMode::ReadWrite).unwrap();
    let control = Control::open().unwrap();
    let blocks = || match control.status(&place.device("pool"), false).unwrap()[0].text.parse().unwrap() {
        Pool::Works(status) => status.metadata.total,
        other => panic!("the pool says {other:?}"),
    };
    assert_eq!(blocks(), 1024);
    driver.grow(Bytes(0), Bytes(16 << 20)).unwrap();
    assert_eq!(blocks(), 4096);
    fs::write(view.path().join("f"), "x").unwrap();
    view.close().unwrap();
    driver.seal(&layer).unwrap();
    drop(driver);
    said("thin_check", &[place.metadata()]);
    let driver = place.open(&[]);
    assert_eq!(blocks(), 4096);
    assert_eq!(read(&driver, &layer, "f"), b"x");
}

#[test]
fn privileged_metadata_that_needs_a_check_is_told_with_the_command() {
    let place = Place::new();
    let driver = place.open(&[]);
    sealed(&driver, "base", None, b"x");
    drop(driver);
    // The flag, and the checksum over what follows it: crc32c, as the driver's own reader has it.
    let file = File::options().read(true).write(true).open(place.root.join("metadata")).unwrap();
    let mut block = vec![0; 4096];
    file.read_exact_at(&mut block, 0).unwrap();
    block[4] |= 1;
    let mut crc = u32::MAX;
    for byte in &block[4..] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    block[..4].copy_from_slice(&(crc ^ 160_774).to_le_bytes());
    file.write_all_at(&block, 0).unwrap();
    file.sync_all().unwrap();
    drop(file);
    let refused = place.try_open(&[]).map(drop).unwrap_err().to_string();
    let command = format!("thin_check --clear-needs-check-flag {}", place.metadata());
    assert!(refused.contains(&command), "{refused}");
    said("thin_check", &["--clear-needs-check-flag", place.metadata()]);
    let driver = place.open(&[]);
    assert_eq!(read(&driver, &id("base"), "base"), b"x");
    assert!(fs::metadata(place.metadata()).is_ok());
}
