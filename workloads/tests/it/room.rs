//! What does not fit is refused before anything is written.

use driver_memory::MemoryDriver;
use storage_driver::Bytes;
use workloads::{Engine, Error};

use crate::engine::{Bare, run};

/// A driver with so much room; nothing may be on it afterwards.
fn refused(name: &str, params: &[(&str, &str)], free: u64) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Bare::new(MemoryDriver::open(dir.path()).unwrap());
    engine.free = Some(Bytes(free));
    let error = run(name, params, &mut engine).unwrap_err();
    assert!(matches!(error, Error::Room { .. }), "{error}");
    assert_eq!(engine.driver().list().unwrap(), []);
    error.to_string()
}

#[test]
fn copyup_that_does_not_fit_names_need_room_and_parameters() {
    // Copied up beside what is below: all but the file that is only removed.
    let said = refused("copyup", &[("sizes", "4096,1073741824")], 8 << 30);
    assert!(said.contains("copyup takes up to 22.9GB on memory, and 8.59GB are free"), "{said}");
    assert!(said.contains("sizes, operations or depths"), "{said}");
}

#[test]
fn read_that_does_not_fit_is_refused() {
    let said = refused("read", &[("files", "8"), ("size", "1073741824")], 8 << 30);
    assert!(said.contains("files, size or containers"), "{said}");
}

#[test]
fn what_fits_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Bare::new(MemoryDriver::open(dir.path()).unwrap());
    // Twice the files, and what a file system keeps.
    engine.free = Some(Bytes(18 << 20));
    run("copyup", &[("sizes", "65536"), ("operations", "append,chmod")], &mut engine).unwrap();
    engine.free = Some(Bytes(16 << 20));
    assert!(run("copyup", &[("sizes", "65536"), ("operations", "append,chmod")], &mut engine).is_err());
}
