//! The btrfs driver: a subvolume a layer; a layer starts as a snapshot of its parent.
//!
//! ```text
//! <root>/                      a subvolume of its own, so that snapshots of what it lies in do not hold layers
//! <root>/layers/<id>/tree/     a subvolume, the whole tree; read-only from when the layer is sealed
//! <root>/layers/<id>/merged/   the mount point, there only while the layer is mounted read-only
//! ```
//!
//! Data and metadata are shared by block, so a write copies what it writes and nothing else. A writable layer needs no
//! mount: its path is the tree. Read-only is a read-only bind mount, also of a sealed layer: who owns a read-only
//! subvolume could make it writable, but not through such a mount.
//!
//! # What changed
//! Every block of a subvolume's tree and every inode in it carries the number of the transaction that wrote it last. What is
//! younger than the snapshot is what changed since, and the kernel finds it without reading the rest, so the difference
//! from the parent costs what changed and not what the tree holds. [`DiffBy::Walk`] compares the two trees instead; the
//! answers are the same.

#![deny(missing_docs)]

mod driver;
mod exclusive;
mod generation;
mod nested;
mod options;
mod place;
mod trash;

pub use driver::Btrfs;
pub use options::{DiffBy, Options, Quota};
pub use storage_layer::Owners;
pub use storage_root::Durability;

/// The driver's name.
pub(crate) const NAME: &str = "btrfs";

/// The subvolume in a layer's directory.
pub(crate) const TREE: &str = "tree";
