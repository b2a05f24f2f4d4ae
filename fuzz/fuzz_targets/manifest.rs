//! See [`fuzz::manifest`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (Option<&str>, &[u8])| fuzz::manifest(input.0, input.1));
