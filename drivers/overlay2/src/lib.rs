//! The overlay2 driver: overlayfs, one upper directory a layer.
//!
//! ```text
//! <root>/layers/<id>/diff/     what the layer changes: the upper of its own mount, a lower of its children's
//! <root>/layers/<id>/work/     overlayfs's scratch space while the layer is mounted writable
//! <root>/layers/<id>/merged/   the mount point, there only while the layer is mounted
//! <root>/l/<8 characters>      short symlinks to the diff directories
//! ```
//!
//! Layers are stacked with the file-system context of newer kernels, one `lowerdir+` a layer, or, where the
//! kernel has none, with mount(2), whose options must fit into one page: hence the short links, which are
//! resolved from within `l/`. A page's length is checked before the call, since the kernel cuts what is longer
//! and may then mount a wrong layer.
//!
//! Reading the difference of a layer is reading its upper directory, as long as the layer was never mounted with
//! `redirect_dir` or `metacopy`: those leave the upper incomplete, and the merged trees are compared instead.
//!
//! Kernel: Documentation/filesystems/overlayfs.rst.

#![deny(missing_docs)]

mod driver;
mod features;
mod links;
mod mounting;
mod options;
mod probe;
mod size;

pub use driver::Overlay2;
pub use options::{MountApi, Options};

/// The driver's name.
pub(crate) const NAME: &str = "overlay2";
