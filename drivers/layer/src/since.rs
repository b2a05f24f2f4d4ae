//! The difference of a tree from the one that it was made of as a snapshot, where the file system tells what changed
//! since: at a cost that follows the change and not the tree.

use std::{collections::HashSet, io, io::Write, path::Path};

use storage_driver::{Change, DiffStats};

use crate::{
    Result,
    delta::{Delta, Walk},
    tree,
};

/// A tree that began as a snapshot of another, with all its inode numbers, and whose file system remembers what was
/// changed since. The other has not been changed since.
pub trait Snapshot {
    /// The inode numbers of all that is new or was changed since: attributes, xattrs, content, names, and of a directory
    /// its entries. More than that costs time only; what is deleted need not be told.
    ///
    /// # Errors
    /// What kept it from finding out.
    fn changed(&self) -> io::Result<HashSet<u64>>;

    /// All names of an inode: the inode number of the directory, and the name in it. None for the root directory, and for
    /// what is no more.
    ///
    /// # Errors
    /// What kept it from finding out.
    fn names(&self, inode: u64) -> io::Result<Vec<(u64, Vec<u8>)>>;
}

/// What [`tree::changes`] finds between the two.
///
/// # Errors
/// As for [`tree::changes`], and what `snapshot` said.
pub fn changes(lower: &Path, upper: &Path, snapshot: &dyn Snapshot) -> Result<Vec<Change>> {
    let pair = tree::pair(Some(lower), upper)?;
    Ok(delta(&pair, snapshot)?.into_changes())
}

/// Writes what [`tree::diff`] writes for the two, byte for byte.
///
/// # Errors
/// As for [`tree::diff`], and what `snapshot` said.
pub fn diff(lower: &Path, upper: &Path, snapshot: &dyn Snapshot, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
    let pair = tree::pair(Some(lower), upper)?;
    crate::export::export(&pair.upper, delta(&pair, snapshot)?, out)
}

fn delta(pair: &crate::delta::Pair, snapshot: &dyn Snapshot) -> Result<Delta> {
    Walk::run_since(pair, snapshot)
}
