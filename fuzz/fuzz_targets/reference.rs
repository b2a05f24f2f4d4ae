//! See [`fuzz::reference`].
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| fuzz::reference(text));
