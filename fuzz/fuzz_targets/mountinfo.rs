//! Any bytes as /proc/self/mountinfo.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = storage_sys::mountinfo::parse(bytes);
});
