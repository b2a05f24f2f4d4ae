//! What reads untrusted bytes, each as one function that takes any input: it may refuse, and never panics, hangs, or
//! does anything outside its place.
//!
//! `fuzz_targets/` gives them to libFuzzer; `tests/` gives them the seeds and some thousand changes of these, on any
//! toolchain.

use std::path::Path;

use harness_builder::Ignore;
use storage_driver::Bytes;
use storage_layer::{ApplyOptions, Devices, Limits, Owners};

/// Any bytes as the configuration of an image with any manifest: read, or refused for a reason.
pub fn configuration(bytes: &[u8], manifest: &[u8]) {
    for manifest in [manifest, br#"{"schemaVersion": 2, "manifests": []}"#] {
        if let Err(why) = harness_transfer::check_configuration(bytes, manifest) {
            assert!(!why.is_empty());
        }
    }
}

/// Any bytes as a Dockerfile: instructions or a diagnostic, and what the build checks say of them.
pub fn dockerfile(bytes: &[u8]) {
    if let Err(diagnostic) = harness_builder::parse(bytes) {
        assert!(!diagnostic.to_string().is_empty());
    }
    let _ = harness_builder::check_text("Dockerfile", bytes);
}

/// Any text as a `.dockerignore`, asked about any path: an answer or a diagnostic.
pub fn dockerignore(text: &str, path: &str) {
    match Ignore::parse(".dockerignore", text.as_bytes()) {
        Ok(ignore) => assert!(!(ignore.excludes(Path::new(path)) && ignore.is_empty())),
        Err(diagnostic) => assert!(!diagnostic.to_string().is_empty()),
    }
}

/// Any bytes as a layer tar: an error or a tree, and never a file outside the root.
///
/// # Panics
/// When something is outside, or there is no room for a directory.
pub fn layer_tar(bytes: &[u8]) {
    let outer = tempfile::tempdir().expect("a directory");
    let root = outer.path().join("root");
    std::fs::create_dir(&root).expect("a root");
    let limits = Limits { size: Bytes(1 << 20), file_size: Bytes(1 << 20), ..Limits::default() };
    let options = ApplyOptions { owners: Owners::Squash, devices: Devices::Skip, limits, ..ApplyOptions::default() };
    let _ = storage_layer::apply(&root, &mut &*bytes, &options);
    let beside = std::fs::read_dir(outer.path()).expect("the directory").count();
    assert_eq!(beside, 1, "something was made outside the root");
}

/// Any bytes as a manifest or an index, under any media type: read, or refused for a reason.
pub fn manifest(declared: Option<&str>, bytes: &[u8]) {
    if let Err(why) = harness_transfer::check_manifest(bytes, declared) {
        assert!(!why.is_empty());
    }
}

/// Any bytes as `/proc/self/mountinfo`.
pub fn mountinfo(bytes: &[u8]) {
    let _ = storage_sys::mountinfo::parse(bytes);
}

/// Any text as an image reference: what is accepted reads back as the same reference.
pub fn reference(text: &str) {
    if let Ok(reference) = harness_image::Reference::parse(text) {
        assert_eq!(harness_image::Reference::parse(&reference.canonical()).ok(), Some(reference));
    }
}
