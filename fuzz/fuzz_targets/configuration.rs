//! Any bytes as the configuration of an image with any manifest: read, or refused for a reason; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (bytes, manifest) = input;
    for manifest in [manifest, br#"{"schemaVersion": 2, "manifests": []}"#] {
        if let Err(why) = harness_transfer::check_configuration(bytes, manifest) {
            assert!(!why.is_empty());
        }
    }
});
