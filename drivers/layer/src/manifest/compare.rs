use std::{collections::BTreeSet, fmt, fmt::Write as _};

use crate::{Entry, Kind, Manifest, Region};

/// What a comparison of two [`Manifest`]s leaves out. The default leaves out nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Nothing about the root directory itself.
    pub ignore_root: bool,
    /// mtimes of directories: a driver may touch them when it copies up.
    pub ignore_directory_times: bool,
    /// All mtimes.
    pub ignore_times: bool,
    /// Which parts of files are holes.
    pub ignore_holes: bool,
    /// Which paths are the same inode.
    pub ignore_links: bool,
    /// uid and gid.
    pub ignore_owners: bool,
    /// Xattrs with these full names.
    pub ignore_xattrs: BTreeSet<Vec<u8>>,
}

/// One difference, readable by people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Relative to the root; empty for the root itself.
    pub path: Vec<u8>,
    /// Such as `mode: expected 0755, found 0700`.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}: {}", self.path.escape_ascii(), self.what)
    }
}

pub(super) fn compare(expected: &Manifest, found: &Manifest, rules: &Rules) -> Vec<Difference> {
    let paths: BTreeSet<&Vec<u8>> = expected.entries.keys().chain(found.entries.keys()).collect();
    let mut all = Vec::new();
    for path in paths {
        if rules.ignore_root && path.is_empty() {
            continue;
        }
        let mut note = |what: String| all.push(Difference { path: path.clone(), what });
        match (expected.entries.get(path), found.entries.get(path)) {
            (Some(a), Some(b)) => entries(a, b, rules, &mut note),
            (Some(a), None) => note(format!("missing; expected {}", name(&a.kind))),
            (None, Some(b)) => note(format!("not expected; found {}", name(&b.kind))),
            (None, None) => {}
        }
    }
    all
}

fn entries(a: &Entry, b: &Entry, rules: &Rules, note: &mut dyn FnMut(String)) {
    kinds(&a.kind, &b.kind, rules, note);
    differ(&a.mode, &b.mode, |m| format!("mode: {m:04o}"), note);
    if !rules.ignore_owners {
        differ(&(a.uid, a.gid), &(b.uid, b.gid), |(u, g)| format!("owner: {u}:{g}"), note);
    }
    let timeless = rules.ignore_times || (rules.ignore_directory_times && a.kind == Kind::Directory);
    if !timeless {
        differ(&a.mtime, &b.mtime, |(s, ns)| format!("mtime: {s}.{ns:09}"), note);
    }
    if !rules.ignore_links {
        differ(&a.link_group, &b.link_group, |g| format!("hard link: {}", group(g.as_ref())), note);
    }
    xattrs(a, b, rules, note);
}

/// `show` writes `name: value`; the result is `name: expected value, found value`.
fn differ<T: PartialEq>(a: &T, b: &T, show: impl Fn(&T) -> String, note: &mut dyn FnMut(String)) {
    if a == b {
        return;
    }
    let (a, b) = (show(a), show(b));
    let (name, expected) = a.split_once(": ").unwrap_or(("", &a));
    let found = b.split_once(": ").map_or(b.as_str(), |(_, found)| found);
    note(format!("{name}: expected {expected}, found {found}"));
}

fn kinds(a: &Kind, b: &Kind, rules: &Rules, note: &mut dyn FnMut(String)) {
    match (a, b) {
        (Kind::File { size: sa, digest: da, data: ha }, Kind::File { size: sb, digest: db, data: hb }) => {
            differ(sa, sb, |s| format!("size: {s} bytes"), note);
            if sa == sb {
                differ(da, db, |d| format!("content: {d}"), note);
            }
            if !rules.ignore_holes && sa == sb {
                differ(ha, hb, |regions| format!("data regions: {}", spans(regions)), note);
            }
        }
        (Kind::Symlink { target: a }, Kind::Symlink { target: b }) => {
            differ(a, b, |target| format!("symlink target: {}", target.escape_ascii()), note);
        }
        (Kind::CharDevice { device: a }, Kind::CharDevice { device: b })
        | (Kind::BlockDevice { device: a }, Kind::BlockDevice { device: b }) => {
            differ(a, b, |(major, minor)| format!("device: {major}:{minor}"), note);
        }
        (a, b) => differ(&name(a), &name(b), |kind| format!("kind: {kind}"), note),
    }
}

fn xattrs(a: &Entry, b: &Entry, rules: &Rules, note: &mut dyn FnMut(String)) {
    let names: BTreeSet<&Vec<u8>> = a.xattrs.keys().chain(b.xattrs.keys()).collect();
    for name in names {
        if rules.ignore_xattrs.contains(name) {
            continue;
        }
        let show = |value: &Option<&Vec<u8>>| {
            let value = value.map_or_else(|| "none".into(), |value| format!("\"{}\"", value.escape_ascii()));
            format!("xattr {}: {value}", name.escape_ascii())
        };
        differ(&a.xattrs.get(name), &b.xattrs.get(name), show, note);
    }
}

const fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::File { .. } => "a file",
        Kind::Directory => "a directory",
        Kind::Symlink { .. } => "a symlink",
        Kind::Fifo => "a fifo",
        Kind::Socket => "a socket",
        Kind::CharDevice { .. } => "a character device",
        Kind::BlockDevice { .. } => "a block device",
    }
}

fn group(first: Option<&Vec<u8>>) -> String {
    first.map_or_else(|| "of no other path".into(), |first| format!("of the group of /{}", first.escape_ascii()))
}

fn spans(regions: &[Region]) -> String {
    const SHOWN: usize = 8;
    let mut text = String::new();
    for region in regions.iter().take(SHOWN) {
        let _ = write!(text, "{}+{} ", region.offset, region.length);
    }
    match regions.len() {
        0 => text.push_str("none"),
        n if n > SHOWN => text.push_str(&format!("and {} more", n - SHOWN)),
        _ => {}
    }
    text.trim_end().to_owned()
}
