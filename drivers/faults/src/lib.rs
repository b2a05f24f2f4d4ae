//! The fault matrix: what a storage driver keeps when its process is killed, its disk is full, or the power goes.
//!
//! Steps are not marked in the code that is examined. An operation runs in a traced process
//! ([`storage_sys::trace`]), every system call of it that changes state is a step, and every step is tried: on a fresh
//! root, with one fault, after which the driver must open, every sealed layer must be byte for byte what it was, the
//! layer that was acted on must be whole or absent, nothing may be left over, and all space must come back.
//!
//! To examine another driver, implement [`Subject`] and call [`run`].

#![deny(missing_docs)]

mod baseline;
mod content;
mod devices;
mod disk;
mod error;
mod fault;
mod full;
mod look;
mod matrix;
mod operation;
mod operations;
mod pool;
mod power;
mod report;
mod room;
mod subject;
mod trial;
mod verify;

pub use error::{Error, Result};
pub use fault::Fault;
pub use matrix::{Choice, run};
pub use operation::Operation;
pub use operations::operations;
pub use report::{Lost, Report, Row};
pub use subject::{Disk, Ground, Opener, Subject};
