//! Any bytes as a layer tar: an error or a tree, never a panic, never a file outside the root.
#![no_main]

use libfuzzer_sys::fuzz_target;
use storage_driver::Bytes;
use storage_layer::{ApplyOptions, Devices, Limits, Owners, apply};

fuzz_target!(|bytes: &[u8]| {
    let outer = tempfile::tempdir().expect("a directory");
    let root = outer.path().join("root");
    std::fs::create_dir(&root).expect("a root");
    let limits = Limits { size: Bytes(1 << 20), file_size: Bytes(1 << 20), ..Limits::default() };
    let options = ApplyOptions { owners: Owners::Squash, devices: Devices::Skip, limits, ..ApplyOptions::default() };
    let _ = apply(&root, &mut &*bytes, &options);
    let beside = std::fs::read_dir(outer.path()).expect("the directory").count();
    assert_eq!(beside, 1, "something was made outside the root");
});

