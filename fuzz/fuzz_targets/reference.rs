//! Any text as an image reference: what is accepted reads back as the same reference.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = harness_image::Reference::parse(text) {
        assert_eq!(harness_image::Reference::parse(&reference.canonical()).ok(), Some(reference));
    }
});
