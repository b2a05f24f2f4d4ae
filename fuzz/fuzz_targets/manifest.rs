//! Any bytes as a manifest or an index, under any media type: read, or refused for a reason; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Option<&str>, &[u8])| {
    let (declared, bytes) = input;
    if let Err(why) = harness_transfer::check_manifest(bytes, declared) {
        assert!(!why.is_empty());
    }
});
