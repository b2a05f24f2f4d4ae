//! The devicemapper driver: a layer is a file system on a thin device, and a child begins as its snapshot.
//!
//! ```text
//! <root>/pool.json             which pool this is, and the session that it was last opened for
//! <root>/data, <root>/metadata the pool's two files, unless it is on devices of its own
//! <root>/layers/<id>/          the layer's record, with the number of its thin device in it
//! <root>/layers/<id>/merged/   the mount point, there only while the layer is mounted
//! ```
//!
//! All thin devices come from one empty file system, the base, that is made when the pool is. A layer's tree is the
//! directory `tree` in its file system, so that what the file system keeps beside (`lost+found`) is in no layer.
//!
//! A layer is activated when it is mounted, and deactivated when it is unmounted. Writes are shared by the block: the first
//! write to a block that the parent has too copies it.
//!
//! # Crashes
//! Each layer's record names its device by number and session. The pool remembers the session that made a device. Opening
//! reads the pool's metadata and compares: devices that no record names are deleted, writable layers whose device is not
//! there are absent, and a sealed one whose device is not there is damage, and is named.

#![deny(missing_docs)]

mod abilities;
mod activation;
mod backing;
mod driver;
mod ext4;
mod filesystem;
mod holders;
mod layers;
mod lost;
mod metadata;
mod open;
mod options;
mod pool;
mod record;
mod support;

pub use driver::DeviceMapper;
pub use filesystem::Fs;
pub use options::{Options, Store};
pub use storage_root::Durability;

/// The driver's name.
pub(crate) const NAME: &str = "devicemapper";
