use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::io::Errno;
use storage_driver::ChangeKind;

use super::{
    Delta, Item, Pair,
    links::{self, LinkRecord},
    same,
    touched::Touched,
};
use crate::{
    Error, Result,
    node::{Inode, Node},
    overlay::{
        marks::{self, DirMarks},
        stack::{Place, Shown},
    },
    parallel,
    since::Snapshot,
    source::{entries_in, join, names_in, node_at},
    xattrs::Of,
};

/// A walk through the upper tree, directory by directory, beside what lies below it.
///
/// # What counts as unchanged
/// - The very same inode on both sides (of two plain trees), since it cannot differ from itself.
/// - Otherwise kind, mode, owner, mtime to the nanosecond, size, device, target and xattrs must be equal, and then
///   the *content* is compared, byte by byte. Equal size and mtime prove nothing: an edit can restore both,
///   and clocks tick in jiffies. ctime is no evidence either: a copy has another one than its original.
///
/// The walk holds one directory open at a time and thread, whatever the depth, and does not recurse. Where there is much to be looked at,
/// several threads walk on, each through another part of the tree; what is found does not depend on that.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    pair: &'a Pair,
    delta: Delta,
    /// Files that are equal as far as lstat(2) tells; their xattrs and content are still to be read.
    undecided: Vec<Undecided>,
    links: Vec<LinkRecord>,
    /// How many names of each lower inode have been met, for inodes with several.
    met: HashMap<(usize, Inode), u64>,
    /// All that is worth a look, where that is known beforehand.
    touched: Option<&'a Touched>,
}

/// So many paths take less time than threads for them.
const FEW: u64 = 256;

#[derive(Debug)]
struct Undecided {
    item: Item,
    lower: Shown,
}

/// A directory of the upper that is still to be read.
#[derive(Debug)]
struct Pending {
    path: Vec<u8>,
    place: Place,
    /// The upper holds all that shows here, so that what it does not hold is deleted.
    complete: bool,
    marks: DirMarks,
    inode: u64,
    /// It is the lower's directory at the same path, going by the inode number; means nothing without [`Touched`].
    is_lowers: bool,
}

/// The names in a directory that are to be looked at.
struct Names {
    /// In the upper.
    there: Vec<Vec<u8>>,
    /// In the lower only.
    gone: Vec<Vec<u8>>,
}

/// Whether a path that is on both sides differs.
enum Verdict {
    Same,
    Differs,
    /// Only xattrs and content can tell.
    Undecided,
}

impl<'a> Walk<'a> {
    pub fn run(pair: &Pair) -> Result<Delta> {
        let mut walk = Walk::new(pair, None);
        walk.walk()?;
        walk.finish()
    }

    /// The same for a plain tree that began as a snapshot of the lower, looking only at what was touched since.
    ///
    /// An untouched name may matter all the same: when an inode has several, and one of them is found at a place where the
    /// lower has something else, since a directory above was moved, the others must be looked at as well.
    pub fn run_since(pair: &Pair, snapshot: &dyn Snapshot) -> Result<Delta> {
        let ask = || Error::io("ask what changed in", pair.upper.full(b""));
        let mut touched = Touched::since(snapshot).map_err(ask())?;
        let mut examined = 0;
        loop {
            let mut walk = Walk::new(pair, Some(&touched));
            walk.delta.examined = examined;
            walk.walk()?;
            let linked = walk.links.iter().map(|record| &record.node).filter(|node| node.nlink > 1);
            let linked: BTreeSet<_> = linked.map(|node| node.inode.ino).filter(|ino| !touched.is_named(*ino)).collect();
            if linked.is_empty() {
                return walk.finish();
            }
            examined = walk.delta.examined;
            touched.add_names(linked, snapshot).map_err(ask())?;
        }
    }

    fn new(pair: &'a Pair, touched: Option<&'a Touched>) -> Self {
        Self { pair, delta: Delta::default(), undecided: Vec::new(), links: Vec::new(), met: HashMap::new(), touched }
    }

    fn walk(&mut self) -> Result<()> {
        let begun = self.delta.examined;
        let mut pending = vec![self.root()?];
        while let Some(directory) = pending.pop() {
            self.visit(&directory, &mut pending)?;
            if self.delta.examined - begun > FEW && pending.len() > 1 && parallel::threads() > 1 {
                return self.share(&pending);
            }
        }
        Ok(())
    }

    /// Has several threads walk on, from each of these directories downwards.
    fn share(&mut self, pending: &[Pending]) -> Result<()> {
        let (pair, touched) = (self.pair, self.touched);
        let walked = parallel::map(pending, |directory| {
            let mut walk = Walk::new(pair, touched);
            walk.below(directory).map(|()| walk)
        });
        walked.into_iter().try_for_each(|walk| walk.map(|walk| self.absorb(walk)))
    }

    fn below(&mut self, directory: &Pending) -> Result<()> {
        let mut pending = Vec::new();
        self.visit(directory, &mut pending)?;
        while let Some(directory) = pending.pop() {
            self.visit(&directory, &mut pending)?;
        }
        Ok(())
    }

    fn absorb(&mut self, part: Walk<'_>) {
        self.delta.items.extend(part.delta.items);
        self.delta.examined += part.delta.examined;
        self.undecided.extend(part.undecided);
        self.links.extend(part.links);
        for (inode, times) in part.met {
            *self.met.entry(inode).or_default() += times;
        }
    }

    fn finish(mut self) -> Result<Delta> {
        self.decide()?;
        links::settle(self.pair, &self.links, &self.met, &mut self.delta)?;
        Ok(self.delta)
    }

    /// The mtime of the root is no change: every driver makes a fresh root directory.
    fn root(&mut self) -> Result<Pending> {
        let pair = self.pair;
        let lower = pair.lower.root()?;
        let node = pair.upper.node(b"")?.ok_or_else(|| Error::io("examine", pair.upper.full(b""))(Errno::NOENT))?;
        let names = pair.upper.xattr_names(b"")?;
        let marks = self.upper_marks(b"", &names)?;
        let xattrs = pair.upper.xattrs(b"")?;
        let same = match &lower {
            Some(lower) => {
                let owner = |node: &Node| (node.mode, node.uid, node.gid);
                owner(&lower.node) == owner(&node) && pair.lower.layer(lower.layer).xattrs(b"")? == xattrs
            }
            None => (node.mode, node.uid, node.gid) == (0o755, 0, 0) && xattrs.is_empty(),
        };
        if !same {
            let kind = if lower.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
            self.delta.items.push(Item { path: Vec::new(), kind, node: Some(node) });
        }
        let is_lowers = is_same_number(&node, lower.as_ref());
        let place = lower.map_or(Place::nowhere(), |lower| lower.place);
        let complete = pair.namespace.is_none();
        Ok(Pending { path: Vec::new(), place, complete, marks, inode: node.inode.ino, is_lowers })
    }

    fn upper_marks(&self, path: &[u8], names: &[Vec<u8>]) -> Result<DirMarks> {
        self.pair
            .namespace
            .map_or(Ok(DirMarks::default()), |namespace| marks::of_directory(&self.pair.upper, path, names, namespace))
    }

    fn visit(&mut self, at: &Pending, pending: &mut Vec<Pending>) -> Result<()> {
        let read = self.directory(at, pending);
        self.unless_vanished(read)
    }

    fn directory(&mut self, at: &Pending, pending: &mut Vec<Pending>) -> Result<()> {
        let upper = &self.pair.upper;
        let dir = upper.directory(&at.path)?;
        let Names { there, gone } = match self.touched {
            Some(touched) => self.touched_names(at, dir.as_fd(), touched)?,
            None => self.all_names(at, dir.as_fd())?,
        };
        for name in &there {
            let seen = self.entry(at, dir.as_fd(), name, pending);
            self.unless_vanished(seen)?;
        }
        for name in &gone {
            self.deletion(at, name)?;
        }
        Ok(())
    }

    fn all_names(&self, at: &Pending, dir: BorrowedFd<'_>) -> Result<Names> {
        let there = names_in(dir).map_err(Error::io("list", self.pair.upper.full(&at.path)))?;
        let mut gone = Vec::new();
        if at.complete && !at.place.is_nowhere() {
            gone = self.pair.lower.list(&at.place, &at.path)?;
            gone.retain(|name| there.binary_search(name).is_err());
        }
        Ok(Names { there, gone })
    }

    /// Without what is known to be equal: in a directory whose entries are the lower's, all that was not touched; in any
    /// other one, what is the same inode in the lower and was not touched.
    fn touched_names(&self, at: &Pending, dir: BorrowedFd<'_>, touched: &Touched) -> Result<Names> {
        if at.is_lowers && !touched.is_changed(at.inode) {
            return Ok(Names { there: touched.names_in(at.inode).cloned().collect(), gone: Vec::new() });
        }
        let mut there = entries_in(dir).map_err(Error::io("list", self.pair.upper.full(&at.path)))?;
        let below: BTreeMap<_, _> = self.pair.lower.entries(&at.place, &at.path)?.into_iter().collect();
        let is_there = |name: &Vec<u8>| there.binary_search_by(|(other, _)| other.cmp(name)).is_ok();
        let gone = below.keys().filter(|name| !is_there(name)).cloned().collect();
        there.retain(|(name, inode)| below.get(name) != Some(inode) || touched.leads_on(at.inode, name));
        Ok(Names { there: there.into_iter().map(|(name, _)| name).collect(), gone })
    }

    fn entry(&mut self, at: &Pending, dir: BorrowedFd<'_>, name: &[u8], pending: &mut Vec<Pending>) -> Result<()> {
        let path = join(&at.path, name);
        let Some(node) = node_at(dir, name).map_err(Error::io("examine", self.pair.upper.full(&path)))? else {
            return Ok(());
        };
        if let Some(namespace) = self.pair.namespace
            && marks::is_whiteout(&self.pair.upper, &path, &node, at.marks, namespace)?
        {
            return self.deletion(at, name);
        }
        self.delta.examined += 1;
        let lower = self.find(at, name)?;
        if node.is_dir() {
            self.subdirectory(at, dir, name, path, node, lower.as_ref(), pending)
        } else {
            self.file(dir, name, path, node, lower)
        }
    }

    /// The upper may be in use: what goes away between two looks at it is as good as never seen. The lower is not.
    fn unless_vanished(&self, answer: Result<()>) -> Result<()> {
        match answer {
            Err(error) if self.pair.upper.has_lost(&error) => Ok(()),
            answer => answer,
        }
    }

    fn find(&mut self, at: &Pending, name: &[u8]) -> Result<Option<Shown>> {
        let shown = self.pair.lower.find(&at.place, &at.path, name)?;
        if let Some(shown) = &shown {
            self.delta.examined += 1;
            if !shown.node.is_dir() && shown.node.nlink > 1 {
                *self.met.entry((shown.layer, shown.node.inode)).or_default() += 1;
            }
        }
        Ok(shown)
    }

    fn deletion(&mut self, at: &Pending, name: &[u8]) -> Result<()> {
        if self.find(at, name)?.is_some() {
            self.delta.items.push(Item { path: join(&at.path, name), kind: ChangeKind::Deleted, node: None });
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn subdirectory(
        &mut self,
        at: &Pending,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: Vec<u8>,
        node: Node,
        lower: Option<&Shown>,
        pending: &mut Vec<Pending>,
    ) -> Result<()> {
        let below = lower.filter(|lower| lower.node.is_dir());
        if self.is_identical(&node, below) {
            return Ok(());
        }
        let of = Of::Name(dir, name);
        let names = of.names().map_err(self.xattr_error(&path))?;
        let marks = self.upper_marks(&path, &names)?;
        let changed = match below {
            None => Some(if lower.is_some() { ChangeKind::Modified } else { ChangeKind::Added }),
            Some(below) => {
                let xattrs = of.values(&names).map_err(self.xattr_error(&path))?;
                let same =
                    same::attributes(&node, &below.node) && self.pair.lower.layer(below.layer).xattrs(&path)? == xattrs;
                (!same).then_some(ChangeKind::Modified)
            }
        };
        if let Some(kind) = changed {
            self.delta.items.push(Item { path: path.clone(), kind, node: Some(node) });
        }
        let place = below.map_or(Place::nowhere(), |below| below.place.clone());
        let (inode, is_lowers) = (node.inode.ino, is_same_number(&node, below));
        pending.push(Pending { path, place, complete: at.complete || marks.opaque, marks, inode, is_lowers });
        Ok(())
    }

    fn file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: Vec<u8>,
        node: Node,
        lower: Option<Shown>,
    ) -> Result<()> {
        let names = match self.pair.namespace {
            Some(namespace) if node.is_file() => {
                let names = Of::Name(dir, name).names().map_err(self.xattr_error(&path))?;
                marks::check_file(&path, &names, namespace)?;
                Some(names)
            }
            _ => None,
        };
        let verdict = match &lower {
            None => Verdict::Differs,
            Some(lower) if self.is_identical(&node, Some(lower)) => Verdict::Same,
            Some(lower) if !same::attributes(&node, &lower.node) => Verdict::Differs,
            Some(_) if node.is_file() && node.size > 0 => Verdict::Undecided,
            Some(lower) => {
                let of = Of::Name(dir, name);
                let xattrs = names.map_or_else(|| of.read(), |names| of.values(&names));
                let xattrs = xattrs.map_err(self.xattr_error(&path))?;
                self.verdict(&path, &node, lower, &xattrs)?
            }
        };
        if node.nlink > 1 || lower.as_ref().is_some_and(|lower| lower.node.nlink > 1) {
            self.links.push(LinkRecord { path: path.clone(), node, lower: lower.clone() });
        }
        let kind = if lower.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        let item = Item { path, kind, node: Some(node) };
        match (verdict, lower) {
            (Verdict::Undecided, Some(lower)) => self.undecided.push(Undecided { item, lower }),
            (Verdict::Same, _) => {}
            _ => self.delta.items.push(item),
        }
        Ok(())
    }

    fn verdict(&self, path: &[u8], node: &Node, lower: &Shown, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<Verdict> {
        use crate::node::NodeKind;
        let below = self.pair.lower.layer(lower.layer);
        let equal = below.xattrs(path)? == xattrs
            && (node.kind != NodeKind::Symlink || below.link_target(path)? == self.pair.upper.link_target(path)?);
        Ok(if equal { Verdict::Same } else { Verdict::Differs })
    }

    /// Only for plain trees: an overlay's upper never is the inode of a lower.
    fn is_identical(&self, node: &Node, lower: Option<&Shown>) -> bool {
        self.pair.namespace.is_none() && lower.is_some_and(|lower| lower.node.inode == node.inode)
    }

    fn xattr_error<E: Into<std::io::Error>>(&self, path: &[u8]) -> impl FnOnce(E) -> Error {
        Error::io("read the xattrs of", self.pair.upper.full(path))
    }

    /// Reads and compares what only its content can tell apart.
    fn decide(&mut self) -> Result<()> {
        let pair = self.pair;
        let undecided = std::mem::take(&mut self.undecided);
        let verdicts = parallel::map(&undecided, |file| same::file(pair, &file.item.path, &file.lower));
        for (file, same) in undecided.into_iter().zip(verdicts) {
            if !same? {
                self.delta.items.push(file.item);
            }
        }
        Ok(())
    }
}

/// Whether the inode has the number that the lower's has; the device is another one in every snapshot.
fn is_same_number(node: &Node, lower: Option<&Shown>) -> bool {
    lower.is_some_and(|lower| lower.node.inode.ino == node.inode.ino)
}
