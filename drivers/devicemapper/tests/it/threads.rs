//! Many at once, and the pool is whole afterwards.

use std::thread;

use storage_driver::StorageDriver;

use crate::support::{Place, create, id, read, sealed, write};

#[test]
fn privileged_sixteen_threads_leave_a_whole_pool() {
    let place = Place::new();
    let driver = place.open(&[]);
    sealed(&driver, "base", None, b"x");
    thread::scope(|scope| {
        for number in 0..16 {
            let driver = &driver;
            scope.spawn(move || {
                let (lower, upper) = (format!("lower-{number}"), format!("upper-{number}"));
                sealed(driver, &lower, Some("base"), lower.as_bytes());
                let layer = create(driver, &upper, Some(&lower));
                write(driver, &layer, "f", upper.as_bytes());
                assert_eq!(read(driver, &layer, &lower), lower.as_bytes());
                assert!(driver.usage(&layer).unwrap().exclusive.get() > 0);
                driver.diff(&layer, &mut std::io::sink()).unwrap();
                driver.remove(&layer).unwrap();
            });
        }
    });
    assert_eq!(driver.list().unwrap().len(), 17);
    assert_eq!(read(&driver, &id("lower-7"), "lower-7"), b"lower-7");
    driver.shutdown().unwrap();
    drop(driver);
    assert!(place.devices().is_empty(), "{:?}", place.devices());
    place.check_idle_pool(18);
}
