//! See [`fuzz::layer_tar`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::layer_tar(bytes));
