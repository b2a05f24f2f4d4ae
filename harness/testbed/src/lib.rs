//! Where a driver's data lives while it is measured.
//!
//! A [`Testbed`] is a directory on a file system that is known exactly: on a loop device of its own, freshly made with a
//! fixed hash seed and no background initialisation, so that the device's counters are the driver's doing and repeat; or
//! on a directory or device that the user names, as it is.

#![deny(missing_docs)]

mod describe;
mod device;
mod error;
mod gc;
mod mkfs;
mod mounting;
mod spec;
mod testbed;

pub use describe::Description;
pub use error::{Error, Result};
pub use gc::{Leftover, gc, remove_leftover};
pub use spec::{FileSystem, Spec};
pub use storage_sys::block::BlockStat;
pub use testbed::{Options, Testbed, loop_is_possible};
