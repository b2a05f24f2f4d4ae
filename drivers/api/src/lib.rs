//! The storage driver: one trait for every way of stacking container layers.
//!
//! A *layer* is a directory tree that is made on top of a parent layer, mounted writable, changed, and
//! *sealed*; a sealed layer never changes again and can be the parent of others. How a layer shares data with
//! its parent is the driver's business: by a union mount, by block or extent sharing, or not at all.
//!
//! This crate holds the trait and the plain data it speaks in. It does no I/O, so that a driver, a
//! workload, a conformance case and a daemon can all be compiled against it without knowing each other.
//!
//! The trait maps onto the two interfaces of the field:
//!
//! | here | moby graphdriver | containerd snapshotter |
//! | --- | --- | --- |
//! | [`StorageDriver::create`] | `Create`, `CreateReadWrite` | `Prepare` |
//! | [`StorageDriver::mount`] / [`MountedLayer::close`] | `Get` / `Put` | `Mounts`, `View` and the caller's mount |
//! | [`StorageDriver::hold`] | (what `live-restore` needs) | (mounts are the caller's) |
//! | [`StorageDriver::seal`] | (implicit) | `Commit` |
//! | [`StorageDriver::remove`] | `Remove` | `Remove` |
//! | [`StorageDriver::stat`], [`StorageDriver::list`] | `Exists`, `GetMetadata` | `Stat`, `Walk` |
//! | [`StorageDriver::set_labels`] | | `Update` |
//! | [`StorageDriver::usage`] | `DiffSize` | `Usage` |
//! | [`StorageDriver::changes`], [`StorageDriver::diff`], [`StorageDriver::apply`] | the same | the diff and apply services |
//! | [`StorageDriver::shutdown`] | `Cleanup` | `Close` |

#![deny(missing_docs)]

mod capability;
mod change;
mod driver;
mod error;
mod held;
mod id;
mod layer;
mod mounted;
mod transfer;
mod units;

pub use capability::{Capabilities, Deviation, Sharing, Support};
pub use change::{Change, ChangeKind};
pub use driver::StorageDriver;
pub use error::{Error, Result};
pub use held::HeldMount;
pub use id::LayerId;
pub use layer::{
    CopiedUp, CreateOptions, Labels, LayerInfo, LayerState, Leftover, MountMode, Status, Timestamp, Usage,
};
pub use mounted::{MountedLayer, Release};
pub use transfer::{ApplyStats, DiffStats, Skipped};
pub use units::Bytes;
