//! The difference of two directory trees.

use std::{io::Write, path::Path};

use storage_driver::{Change, ChangeKind, CopiedUp, DiffStats, Usage};

use crate::{
    Error, Result,
    delta::{Delta, Item, Pair, Walk},
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
/// [`Error::Io`] naming what could not be read.
pub fn changes(lower: Option<&Path>, upper: &Path) -> Result<Vec<Change>> {
    Ok(Walk::run(&pair(lower, upper)?)?.into_changes())
}

/// Writes that difference as an uncompressed OCI layer tar.
///
/// # Errors
/// [`Error::Io`] naming what could not be read; [`Error::Output`].
pub fn diff(lower: Option<&Path>, upper: &Path, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
    let pair = pair(lower, upper)?;
    crate::export::export(&pair.upper, Walk::run(&pair)?, out)
}

/// Writes the whole tree `root` as a tar in which everything, the root first, is below `name`.
///
/// # Errors
/// As [`diff`].
pub fn archive(root: &Path, name: &[u8], out: &mut (dyn Write + Send)) -> Result<DiffStats> {
    let pair = pair(None, root)?;
    let mut delta = Walk::run(&pair)?;
    if !delta.items.iter().any(|item| item.path.is_empty()) {
        delta.items.push(Item { path: Vec::new(), kind: ChangeKind::Added, node: pair.upper.node(b"")? });
    }
    let below = |path: &[u8]| [name, b"/", path.strip_prefix(b"./").unwrap_or(path)].concat();
    crate::export::export_renamed(&pair.upper, delta, &below, out)
}

/// Writes what is called `entry` in the directory `dir`, and is no directory, as a tar with one entry called `name`.
///
/// # Errors
/// As [`diff`]; nothing may have the name `entry`.
pub fn archive_one(dir: &Path, entry: &[u8], name: &[u8], out: &mut (dyn Write + Send)) -> Result<DiffStats> {
    let source = Source::open(dir)?;
    let node = source.node(entry)?.ok_or(rustix::io::Errno::NOENT);
    let node = node.map_err(Error::io("examine", source.full(entry)))?;
    let item = Item { path: entry.to_vec(), kind: ChangeKind::Added, node: Some(node) };
    let delta = Delta { items: vec![item], examined: 1 };
    crate::export::export_renamed(&source, delta, &|_| name.to_vec(), out)
}

/// What a tree takes when nothing is shared: every inode once, the root included.
///
/// # Errors
/// [`Error::Io`] naming what could not be read.
pub fn usage(root: &Path) -> Result<Usage> {
    let all = overlay::usage(root, &[], overlay::XattrNamespace::Trusted)?;
    Ok(Usage { copied_up: CopiedUp::default(), ..all })
}

pub(crate) fn pair(lower: Option<&Path>, upper: &Path) -> Result<Pair> {
    let lower = lower.map_or(Ok(Stack::empty()), Stack::plain)?;
    Ok(Pair { upper: Source::open(upper)?, namespace: None, lower })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Limits, Members};

    fn names(tar: &[u8]) -> Vec<String> {
        let limits = Limits::default();
        let mut members = Members::new(tar, &limits);
        let mut names = Vec::new();
        while let Some(member) = members.next_member().unwrap() {
            names.push(String::from_utf8(member.name).unwrap());
        }
        names
    }

    #[test]
    fn an_archive_is_below_its_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/file"), "text").unwrap();
        fs::hard_link(dir.path().join("sub/file"), dir.path().join("sub/link")).unwrap();
        let mut tar = Vec::new();
        archive(dir.path(), b"x", &mut tar).unwrap();
        assert_eq!(names(&tar), ["x/", "x/sub/", "x/sub/file", "x/sub/link"]);
        let to = tempfile::tempdir().unwrap();
        crate::apply(to.path(), &mut &tar[..], &crate::ApplyOptions::default()).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("x/sub/link")).unwrap(), "text");

        let mut tar = Vec::new();
        archive_one(&dir.path().join("sub"), b"file", b"other", &mut tar).unwrap();
        assert_eq!(names(&tar), ["other"]);
        assert!(archive_one(dir.path(), b"nothing", b"x", &mut tar).is_err());
    }
}
