//! The vfs driver: a full copy of the parent for every layer.
//!
//! ```text
//! <root>/layers/<id>/tree/     the whole tree
//! <root>/layers/<id>/merged/   the mount point, there only while the layer is mounted read-only
//! ```
//!
//! Nothing is shared, so nothing is ever copied up: the cost is paid when a layer is made. How the bytes are
//! copied is chosen and recorded ([`CopyStrategy`]), since the obvious ways share extents on some
//! file systems without saying so (copy_file_range(2), "Notes").
//!
//! A writable layer needs no mount: its path is the tree. Read-only is a read-only bind mount, so that
//! the kernel refuses writes, whoever asks.

#![deny(missing_docs)]

mod driver;
mod options;

pub use driver::Vfs;
pub use options::Options;
pub use storage_layer::{Owners, copy::CopyStrategy};
pub use storage_root::Durability;

/// The driver's name.
pub(crate) const NAME: &str = "vfs";
