//! The difference of two directory trees.

use std::{io::Write, path::Path};

use storage_driver::{Change, CopiedUp, DiffStats, Usage};

use crate::{
    Result,
    delta::{Pair, Walk},
    overlay::{self, stack::Stack},
    source::Source,
};

/// How the tree `upper` differs from the tree `lower`, or from nothing; sorted by path.
///
/// Files of the same size and mtime are compared byte by byte, so no edit is missed, whatever it did to the times.
/// The root itself is listed, with an empty path, only if its mode, owner or xattrs differ (from 0755, 0:0 and
/// none where there is no `lower`).
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) naming what could not be read.
pub fn changes(lower: Option<&Path>, upper: &Path) -> Result<Vec<Change>> {
    Ok(Walk::run(&pair(lower, upper)?)?.into_changes())
}

/// Writes that difference as an uncompressed OCI layer tar.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) naming what could not be read; [`Error::Output`](crate::Error::Output).
pub fn diff(lower: Option<&Path>, upper: &Path, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
    let pair = pair(lower, upper)?;
    crate::export::export(&pair.upper, Walk::run(&pair)?, out)
}

/// What a tree takes when nothing is shared: every inode once, the root included.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) naming what could not be read.
pub fn usage(root: &Path) -> Result<Usage> {
    let all = overlay::usage(root, &[], overlay::XattrNamespace::Trusted)?;
    Ok(Usage { copied_up: CopiedUp::default(), ..all })
}

pub(crate) fn pair(lower: Option<&Path>, upper: &Path) -> Result<Pair> {
    let lower = lower.map_or(Ok(Stack::empty()), Stack::plain)?;
    Ok(Pair { upper: Source::open(upper)?, namespace: None, lower })
}
