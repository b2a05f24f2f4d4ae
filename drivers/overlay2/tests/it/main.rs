//! The overlay2 driver against the kernel; what all drivers have in common is in the conformance suite.

mod base_layer;
mod busy;
mod crash;
mod depth;
mod exports;
mod long_path;
mod quota;
mod support;
mod threads;
mod unusable;
mod user_namespace;
mod volatile;
