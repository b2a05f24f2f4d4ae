//! The overlay2 driver: overlayfs, one upper directory a layer.
//!
//! ```text
//! <root>/layers/<id>/diff/     what the layer changes: the upper of its own mount, a lower of its children's
//! <root>/layers/<id>/work/     overlayfs's scratch space, from the first writable mount until the layer is sealed
//! <root>/layers/<id>/merged/   the mount point, there only while the layer is mounted
//! <root>/l/<6 characters>      short symlinks to the diff directories
//! <root>/empty/                below layers without a parent
//! <root>/probed.json           what a trial mount found since the machine was started
//! ```
//!
//! # Mounts
//! Layers are stacked with the file-system context of newer kernels, one `lowerdir+` a layer, or, where the
//! kernel has none, with mount(2), whose options must fit into one page: hence the short links, which are
//! resolved from within `l/`. A page's length is checked before the call, since the kernel cuts what is longer
//! and may then mount a wrong layer.
//!
//! A sealed layer is mounted without an upper, its own directory topmost, so that nothing can be written to it.
//! A layer without a parent is an overlay too, on an empty directory, and not that directory itself: a program in
//! it can then neither make 0:0 devices, which would hide files of a child's, nor see or set overlayfs's xattrs, and
//! whiteouts that an image brings along where nothing is below do not show.
//!
//! Mounts are made in the propagation that the root's file system has. Making the root a private mount of its own
//! would only be one more thing for a killed process to leave behind: a mount that has spread to other
//! namespaces, or was copied into one, ends with its mount point, which unmounting removes.
//!
//! # Differences
//! Reading the difference of a layer is reading its upper directory, as long as neither it nor a parent was ever
//! mounted with `redirect_dir` or `metacopy`: those leave the upper incomplete, and the merged trees are compared
//! instead. Which of them a layer is mounted with is decided when it is made, and kept in its record.
//!
//! Kernel: Documentation/filesystems/overlayfs.rst.

#![deny(missing_docs)]

mod abilities;
mod directories;
mod driver;
mod features;
mod layers;
mod links;
mod mounting;
mod options;
mod probe;
mod probed;
mod size;
mod trial;

pub use directories::directories;
pub use driver::Overlay2;
pub use options::{MountApi, Options};
pub use storage_layer::Owners;
pub use storage_root::Durability;

/// The driver's name.
pub(crate) const NAME: &str = "overlay2";
