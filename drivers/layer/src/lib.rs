//! One layer as data.
//!
//! - [`tree`] compares two directory trees; [`overlay`] finds the same differences from an overlay's upper
//!   directory alone, [`since`] with the help of a file system that remembers what changed; all write them as an OCI
//!   layer tar.
//! - [`apply()`] lays such a tar, from whatever source, over a tree.
//! - [`Manifest`] describes a tree completely, for oracles.
//! - [`copy`] copies trees.
//! - [`by_walk`] gives any [`StorageDriver`](storage_driver::StorageDriver) correct, if slow, defaults.
//!
//! # What a layer holds
//! Kind, mode, owner, mtime in nanoseconds, content, hard links, device numbers, symlink targets, and all
//! xattrs except overlayfs's own (`trusted.overlay.*`, `user.overlay.*`), which describe a driver's storage and
//! not the tree. Sockets have no form in a tar and are left out with a note.

#![deny(missing_docs)]

mod apply;
pub mod by_walk;
mod check;
pub mod copy;
mod decompress;
mod delta;
mod digest;
mod error;
mod export;
mod manifest;
mod members;
mod node;
pub mod overlay;
mod parallel;
pub mod since;
mod source;
mod tar;
pub mod tree;
mod writer;
mod xattrs;

pub use apply::{ApplyOptions, Devices, Limits, Owners, Whiteouts, apply};
pub use check::{check, check_whole};
pub use decompress::{Compression, Decompressor, decompress};
pub use digest::{Digest, DigestReader, DigestWriter};
pub use error::{EntryName, Error, Fault, Result};
pub use manifest::{Difference, Entry, Kind, Manifest, Region, Rules};
pub use members::{Member, MemberKind, Members};
pub use writer::{Attributes, TarWriter};
