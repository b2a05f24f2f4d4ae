//! Any text as a `.dockerignore`, asked about any path: an answer or a diagnostic, never a panic.
#![no_main]

use std::path::Path;

use harness_builder::Ignore;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, path) = input;
    match Ignore::parse(".dockerignore", text.as_bytes()) {
        Ok(ignore) => assert!(!(ignore.excludes(Path::new(path)) && ignore.is_empty())),
        Err(diagnostic) => assert!(!diagnostic.to_string().is_empty()),
    }
});
