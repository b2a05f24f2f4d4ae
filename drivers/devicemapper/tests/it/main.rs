//! What needs a kernel with device-mapper; build with `--features lab`, and run the binary in the lab.

mod lifecycle;
mod support;
