//! The overlay2 driver against the kernel; what all drivers have in common is in the conformance suite.

// Other processes tell the tests what they met, and what a kernel lacks is told to people.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod base_layer;
mod busy;
mod crash;
mod depth;
mod exports;
mod full;
mod long_path;
mod quota;
mod support;
mod threads;
mod unusable;
mod user_namespace;
mod volatile;
