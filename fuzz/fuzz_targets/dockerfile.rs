//! Any bytes as a Dockerfile: instructions or a diagnostic, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(diagnostic) = harness_builder::parse(bytes) {
        assert!(!diagnostic.to_string().is_empty());
    }
});
