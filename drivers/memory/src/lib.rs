//! The model: a driver that keeps its layers in memory.
//!
//! A layer is a complete tree: every inode with its metadata, xattrs, content and holes, and the names that
//! lead to it. Nothing is shared, stacked or hidden, so what a layer holds is what its tree says. A child starts as
//! its parent's tree. Only while it is mounted does a layer exist as files, in a scratch directory: laid out by the
//! first mount, read back by the last close.
//!
//! It exists to be obviously right: the conformance suite holds every other driver against it. It keeps nothing
//! when it is dropped.

#![deny(missing_docs)]

mod driver;
mod lay_out;
mod layers;
mod mounting;
mod probe;
mod read_back;
mod tree;
mod usage;

pub use driver::MemoryDriver;
