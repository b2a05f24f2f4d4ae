//! A virtual machine on another kernel, for one command.
//!
//! The guest boots a kernel of this machine's `/boot` (or any other) with an initial RAM file system that is made for it: a
//! static busybox, the few modules that lead to the root, and a script. Its root is this machine's own, over 9p, below an
//! overlay in memory: every program and file is there, and nothing that the guest writes comes back, but for the directories
//! that are [shared](Job::shares). It has an empty disk of its own, which is a sparse file.
//!
//! Standard output, standard error and the exit status come back over three virtio ports, each on its own, live. The kernel's
//! console is kept apart and only shown when the guest fails. QEMU dies with this process, and once the guest has booted there is
//! no file left that could be forgotten.

#![deny(missing_docs)]

mod accel;
mod console;
mod cpio;
mod disk;
mod error;
mod initramfs;
mod job;
mod kernel;
mod machine;
mod modules;
mod ports;
mod quote;
mod tools;

pub use accel::Accel;
pub use error::{Error, Result};
pub use job::{Job, Output};
pub use kernel::Kernel;
pub use machine::{DATA, Lab};
