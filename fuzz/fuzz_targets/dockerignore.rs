//! See [`fuzz::dockerignore`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| fuzz::dockerignore(input.0, input.1));
