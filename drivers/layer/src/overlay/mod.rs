//! The same difference, found from an overlay's upper directory alone.

pub(crate) mod marks;
pub(crate) mod stack;
mod usage;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use storage_driver::{Change, DiffStats, Usage};

use self::stack::Stack;
use crate::{
    Result,
    delta::{Pair, Walk},
    source::Source,
};

/// Where overlayfs keeps its marks: `trusted.overlay.*`, or `user.overlay.*` with the mount option `userxattr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum XattrNamespace {
    /// `trusted.overlay.`, for root.
    Trusted,
    /// `user.overlay.`, in a user namespace.
    User,
}

/// How the merged view of `upper` on `lowers` (topmost first) differs from that of `lowers`; sorted by path.
///
/// # Errors
/// [`Error::OverlayFeature`](crate::Error::OverlayFeature) for an upper that its files alone do not explain; [`Error::Io`](crate::Error::Io).
pub fn changes(upper: &Path, lowers: &[PathBuf], namespace: XattrNamespace) -> Result<Vec<Change>> {
    Ok(Walk::run(&pair(upper, lowers, namespace)?)?.into_changes())
}

/// Writes that difference as an uncompressed OCI layer tar; the same bytes as [`tree::diff`](crate::tree::diff)
/// of the two merged views.
///
/// # Errors
/// As [`changes`], and [`Error::Output`](crate::Error::Output).
pub fn diff(
    upper: &Path,
    lowers: &[PathBuf],
    namespace: XattrNamespace,
    out: &mut (dyn Write + Send),
) -> Result<DiffStats> {
    let pair = pair(upper, lowers, namespace)?;
    crate::export::export(&pair.upper, Walk::run(&pair)?, out)
}

/// What `upper` takes beyond `lowers`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io).
pub fn usage(upper: &Path, lowers: &[PathBuf], namespace: XattrNamespace) -> Result<Usage> {
    usage::usage(&pair(upper, lowers, namespace)?, namespace)
}

fn pair(upper: &Path, lowers: &[PathBuf], namespace: XattrNamespace) -> Result<Pair> {
    let lower = Stack::overlay(lowers, namespace)?;
    Ok(Pair { upper: Source::open(upper)?, namespace: Some(namespace), lower })
}
