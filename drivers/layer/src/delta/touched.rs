use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
};

use crate::since::Snapshot;

/// What of a snapshot may differ from its source, by directory: a walk that keeps to it finds the same differences.
///
/// Inode numbers are what makes this work: a snapshot starts with its source's, so a number that is on both sides
/// stands for one and the same file or directory, unless it was changed since.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    changed: HashSet<u64>,
    /// By directory, the names in it that are changed inodes or lead to some.
    names: HashMap<u64, BTreeSet<Vec<u8>>>,
    /// Inodes all of whose names are in `names`.
    named: HashSet<u64>,
}

impl Touched {
    pub fn since(snapshot: &dyn Snapshot) -> io::Result<Self> {
        let mut touched = Self { changed: snapshot.changed()?, ..Self::default() };
        let changed: Vec<_> = touched.changed.iter().copied().collect();
        touched.add_names(changed, snapshot)?;
        Ok(touched)
    }

    /// Adds all names of `inodes`, and the way to each from the root.
    pub fn add_names(&mut self, inodes: impl IntoIterator<Item = u64>, snapshot: &dyn Snapshot) -> io::Result<()> {
        let mut pending: Vec<_> = inodes.into_iter().filter(|&inode| self.named.insert(inode)).collect();
        while let Some(inode) = pending.pop() {
            for (directory, name) in snapshot.names(inode)? {
                self.names.entry(directory).or_default().insert(name);
                if self.named.insert(directory) {
                    pending.push(directory);
                }
            }
        }
        Ok(())
    }

    /// Whether all names of an inode are to be looked at.
    pub fn is_named(&self, inode: u64) -> bool {
        self.named.contains(&inode)
    }

    /// Whether an inode, or for a directory the list of its entries, is another than in the source.
    pub fn is_changed(&self, inode: u64) -> bool {
        self.changed.contains(&inode)
    }

    pub fn leads_on(&self, directory: u64, name: &[u8]) -> bool {
        self.names.get(&directory).is_some_and(|names| names.contains(name))
    }

    /// The names in a directory that are to be looked at.
    pub fn names_in(&self, directory: u64) -> impl Iterator<Item = &Vec<u8>> {
        self.names.get(&directory).into_iter().flatten()
    }
}
