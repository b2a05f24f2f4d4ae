//! Any text as a `.dockerignore`, asked about any path: an answer, never a panic.
#![no_main]

use std::path::Path;

use harness_builder::Ignore;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, path) = input;
    let ignore = Ignore::parse(text);
    let excluded = ignore.excludes(Path::new(path));
    assert!(!(excluded && ignore.is_empty()));
});
