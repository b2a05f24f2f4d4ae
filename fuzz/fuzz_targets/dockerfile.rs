//! Any bytes as a Dockerfile: instructions or a diagnostic, and what the build checks say of them; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match harness_builder::parse(bytes) {
        Ok(_) => {}
        Err(diagnostic) => assert!(!diagnostic.to_string().is_empty()),
    }
    let _ = harness_builder::check_text("Dockerfile", bytes);
});
