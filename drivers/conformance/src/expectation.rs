//! What must be seen, computed from manifests: independent of every driver and of the layer codec's comparison.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use storage_driver::{Change, ChangeKind};
use storage_layer::{Entry, Kind, Manifest, Region, Rules};

use crate::{Stop, Verdict};

/// How many differences a failure shows.
const SHOWN: usize = 8;

/// Fails unless the tree at `found` is what `expected` says, in everything.
pub fn equal(expected: &Manifest, found: &Path) -> Verdict {
    same(expected, &Manifest::scan(found)?)
}

/// Fails unless both describe the same tree.
pub fn same(expected: &Manifest, found: &Manifest) -> Verdict {
    let differences = expected.compare(found, &Rules::default());
    list("the trees differ", differences.iter().map(ToString::to_string))
}

/// Smaller files lose their holes in a tar, where there is nothing to gain.
const SPARSE_FROM: u64 = 8192;

/// The same for a tree that was made from tars.
///
/// They do not carry the time of the root directory alone, nor the holes of small files; and beside other holes they
/// may turn written zeros into holes, but never the other way round.
pub fn transferred(expected: &Manifest, found: &Manifest) -> Verdict {
    let mut found = found.clone();
    for (path, entry) in &mut found.entries {
        let Some(known) = expected.entries.get(path) else { continue };
        if path.is_empty() {
            entry.mtime = known.mtime;
        }
        if let (Kind::File { data, size, .. }, Kind::File { data: known, .. }) = (&mut entry.kind, &known.kind)
            && (*size < SPARSE_FROM || lies_within(data, known))
        {
            data.clone_from(known);
        }
    }
    same(expected, &found)
}

fn lies_within(inner: &[Region], outer: &[Region]) -> bool {
    inner.iter().all(|region| {
        let holds = |other: &Region| {
            other.offset <= region.offset && region.offset + region.length <= other.offset + other.length
        };
        outer.iter().any(holds)
    })
}

fn list(what: &str, lines: impl ExactSizeIterator<Item = String>) -> Verdict {
    let count = lines.len();
    if count == 0 {
        return Ok(());
    }
    let mut shown: Vec<String> = lines.take(SHOWN).collect();
    if count > SHOWN {
        shown.push(format!("and {} more", count - SHOWN));
    }
    Err(Stop::failed(format!("{what}: {}", shown.join("; "))))
}

/// A manifest without its sockets, which no tar carries.
#[must_use]
pub fn without_sockets(manifest: &Manifest) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.entries.retain(|_, entry| entry.kind != Kind::Socket);
    manifest
}

/// Fails unless `found` lists exactly what became different between two trees.
pub fn check_changes(found: &[Change], before: Option<&Manifest>, after: &Manifest) -> Verdict {
    let sorted = found.is_sorted_by(|a, b| a.path.as_os_str().as_bytes() <= b.path.as_os_str().as_bytes());
    if !sorted {
        return Err(Stop::failed("the list of changes is not sorted by path"));
    }
    let expected = changes(before, after);
    let found: BTreeMap<&Path, ChangeKind> = found.iter().map(|change| (&*change.path, change.kind)).collect();
    let mut wrong = vec![];
    for (path, (kind, certain)) in &expected {
        match found.get(&**path) {
            Some(found) if found == kind => {}
            Some(found) => wrong.push(format!("{} {}, expected {}", found.letter(), path.display(), kind.letter())),
            None if *certain => wrong.push(format!("{} {} is missing", kind.letter(), path.display())),
            None => {}
        }
    }
    for (path, kind) in found {
        if !expected.contains_key(path) {
            wrong.push(format!("{} {} is no change", kind.letter(), path.display()));
        }
    }
    list("the list of changes is wrong", wrong.into_iter())
}

/// Every change by path, and whether it must be listed.
///
/// It need not when only the set of a file's names differs: that is told by the name that came or went. Nor when only
/// the places of its holes differ, which no reader can see.
fn changes(before: Option<&Manifest>, after: &Manifest) -> BTreeMap<PathBuf, (ChangeKind, bool)> {
    let nothing = Manifest { entries: BTreeMap::new() };
    let before = before.unwrap_or(&nothing);
    let (old_names, new_names) = (names_by_group(before), names_by_group(after));
    let mut changes = BTreeMap::new();
    for path in before.entries.keys().chain(after.entries.keys()).collect::<BTreeSet<_>>() {
        let change = match (before.entries.get(path), after.entries.get(path)) {
            (old, Some(new)) if path.is_empty() => {
                let kind = if old.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
                root_differs(old, new).then_some((kind, true))
            }
            (None, Some(_)) => Some((ChangeKind::Added, true)),
            (Some(_), None) => is_directory(after, parent(path)).then_some((ChangeKind::Deleted, true)),
            (Some(old), Some(new)) if differs(old, new) => Some((ChangeKind::Modified, true)),
            (Some(old), Some(new)) => {
                let same_names = names(&old_names, old) == names(&new_names, new);
                (!same_names || old.kind != new.kind).then_some((ChangeKind::Modified, false))
            }
            (None, None) => None,
        };
        if let Some(change) = change {
            changes.insert(PathBuf::from(OsStr::from_bytes(path)), change);
        }
    }
    changes
}

fn differs(old: &Entry, new: &Entry) -> bool {
    let same_kind = match (&old.kind, &new.kind) {
        (Kind::File { size: a, digest: b, .. }, Kind::File { size: c, digest: d, .. }) => (a, b) == (c, d),
        (old, new) => old == new,
    };
    !same_kind
        || (old.mode, old.uid, old.gid, old.mtime) != (new.mode, new.uid, new.gid, new.mtime)
        || old.xattrs != new.xattrs
}

/// The root's time is nobody's business: it moves when a layer is made, and no tar carries it by itself.
fn root_differs(old: Option<&Entry>, new: &Entry) -> bool {
    let of = |entry: &Entry| (entry.mode, entry.uid, entry.gid, entry.xattrs.clone());
    old.map_or((0o755, 0, 0, BTreeMap::new()), of) != of(new)
}

type Groups<'a> = BTreeMap<&'a Vec<u8>, BTreeSet<&'a Vec<u8>>>;

fn names_by_group(manifest: &Manifest) -> Groups<'_> {
    let mut groups = Groups::new();
    for (path, entry) in &manifest.entries {
        if let Some(group) = &entry.link_group {
            groups.entry(group).or_default().insert(path);
        }
    }
    groups
}

fn names<'a, 'b>(groups: &'b Groups<'a>, entry: &Entry) -> Option<&'b BTreeSet<&'a Vec<u8>>> {
    groups.get(entry.link_group.as_ref()?)
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&[], |slash| &path[..slash])
}

fn is_directory(manifest: &Manifest, path: &[u8]) -> bool {
    manifest.entries.get(path).is_some_and(|entry| entry.kind == Kind::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, context::all};

    fn scan(ops: &[Op]) -> Manifest {
        let dir = tempfile::tempdir().unwrap();
        all(dir.path(), ops).unwrap();
        for path in ["", "d", "d/f", "g"] {
            _ = crate::op::execute(dir.path(), &Op::utimes(path, 1, 1));
        }
        Manifest::scan(dir.path()).unwrap()
    }

    fn listed(before: &Manifest, after: &Manifest) -> Vec<(String, char, bool)> {
        let changes = changes(Some(before), after).into_iter();
        changes.map(|(path, (kind, certain))| (path.display().to_string(), kind.letter(), certain)).collect()
    }

    #[test]
    fn what_was_below_a_replaced_directory_is_not_listed() {
        let before = scan(&[Op::mkdir("d"), Op::file("d/f", "x")]);
        let after = scan(&[Op::file("d", "x")]);
        assert_eq!(listed(&before, &after), [("d".to_owned(), 'C', true)]);
        assert_eq!(listed(&before, &scan(&[])), [("d".to_owned(), 'D', true)]);
    }

    #[test]
    fn a_new_name_makes_the_old_one_an_optional_change() {
        let before = scan(&[Op::mkdir("d"), Op::file("d/f", "x")]);
        let after = scan(&[Op::mkdir("d"), Op::file("d/f", "x"), Op::link("d/f", "g")]);
        assert_eq!(listed(&before, &after), [("d/f".to_owned(), 'C', false), ("g".to_owned(), 'A', true)]);
    }
}
