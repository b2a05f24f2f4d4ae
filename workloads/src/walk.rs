//! Every entry of a tree.

use std::{
    fs::{self, FileType},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// An entry as reading its directory shows it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its whole path.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) kind: FileType,
}

/// All entries below `root`, directories before what is in them, sorted by name within each.
pub(crate) fn entries(root: &Path) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        let mut inside = list(&dir)?;
        inside.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        pending.extend(inside.iter().rev().filter(|entry| entry.kind.is_dir()).map(|entry| entry.path.clone()));
        found.extend(inside);
    }
    Ok(found)
}

/// The entries of one directory, as they come.
pub(crate) fn list(dir: &Path) -> Result<Vec<Entry>> {
    let fail = || Error::io("list", dir);
    let entries = fs::read_dir(dir).map_err(fail())?;
    let each = entries.map(|entry| entry.and_then(|entry| Ok(Entry { kind: entry.file_type()?, path: entry.path() })));
    each.collect::<std::io::Result<_>>().map_err(fail())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_found_once_and_parents_first() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/c")).unwrap();
        fs::write(dir.path().join("b/c/d"), "").unwrap();
        std::os::unix::fs::symlink("b", dir.path().join("a")).unwrap();
        let found = entries(dir.path()).unwrap();
        let paths: Vec<_> = found.iter().map(|entry| entry.path.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(paths, ["a", "b", "b/c", "b/c/d"].map(Path::new));
        assert!(found[0].kind.is_symlink());
    }
}
