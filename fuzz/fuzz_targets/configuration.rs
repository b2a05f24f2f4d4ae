//! See [`fuzz::configuration`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&[u8], &[u8])| fuzz::configuration(input.0, input.1));
