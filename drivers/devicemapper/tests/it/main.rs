//! What needs a kernel with device-mapper: build with `--test lab`, and run the binary in the lab.

mod base;
mod busy;
mod crash;
mod devices;
mod full;
mod kernel;
mod lifecycle;
mod support;
mod threads;
