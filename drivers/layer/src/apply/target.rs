use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat, unlinkat},
    io::Errno,
};

use super::{
    ApplyOptions, Whiteouts,
    attributes::{Attributes, Setter, io},
    names::Names,
};
use crate::{
    Fault,
    node::{Node, NodeKind},
    overlay::{
        XattrNamespace,
        stack::{Place, Shown, Stack},
    },
    source::{Source, join, node_at},
    xattrs::{ACL_DEFAULT, Of},
};

/// As many symlinks as the kernel follows in one path (path_resolution(7)).
const MOST_SYMLINKS: usize = 40;

/// Directories kept open. Entries come directory by directory, so more would not help.
const MOST_OPEN: usize = 128;

/// Single components only ever go one step down.
const STEP: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// An open directory of the tree.
#[derive(Debug)]
pub(super) struct Dir {
    pub fd: OwnedFd,
    pub ino: u64,
    /// Its real path: no component is a symlink.
    pub path: Vec<u8>,
    /// What lies below it and shows through.
    pub place: Place,
    /// What is made in it inherits ACLs.
    pub default_acl: bool,
}

/// Whether missing directories are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    /// Only those that show from below are, as copies.
    Stop,
}

/// What is to become of a directory when all is in place.
#[derive(Debug)]
pub(super) struct DirEnd {
    parent: u64,
    name: Box<[u8]>,
    pub mtime: (i64, u32),
}

/// The tree that a tar is laid over.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub options: &'a ApplyOptions,
    pub setter: Setter<'a>,
    pub source: Source,
    pub lower: Stack,
    pub root: Arc<Dir>,
    open: HashMap<Vec<u8>, Arc<Dir>>,
    /// What this tar wrote: names by the directory's inode, since one directory can be reached by several paths through
    /// symlinks.
    written: Names,
    /// What this tar has whiteouts for, so that a directory made in its place starts empty.
    pub hidden: Names,
    /// All directories that were entered or made.
    pub ends: HashMap<u64, DirEnd>,
}

impl<'a> Target<'a> {
    pub fn open(root: &Path, options: &'a ApplyOptions, setter: Setter<'a>) -> crate::Result<Self> {
        let fail = |op| crate::Error::io(op, root);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, root, flags, Mode::empty()).map_err(fail("open"))?;
        let node: Node = fstat(&fd).map_err(fail("examine"))?.into();
        let default_acl = has_default_acl(fd.as_fd()).map_err(|source| crate::Error::io("open", root)(source))?;
        let lower = match options.whiteouts {
            Whiteouts::Remove | Whiteouts::Literal => Stack::empty(),
            Whiteouts::Overlay(namespace) => Stack::overlay(&options.lowers, namespace)?,
        };
        let place = lower.root()?.map_or(Place::nowhere(), |shown| shown.place);
        let ino = node.inode.ino;
        let root_dir = Arc::new(Dir { fd, ino, path: Vec::new(), place, default_acl });
        let end = DirEnd { parent: ino, name: Box::default(), mtime: node.mtime };
        Ok(Self {
            options,
            setter,
            source: Source::open(root)?,
            lower,
            root: root_dir,
            open: HashMap::new(),
            written: Names::default(),
            hidden: Names::default(),
            ends: HashMap::from([(ino, end)]),
        })
    }

    /// Set when the tree is an overlay's upper directory.
    pub const fn namespace(&self) -> Option<XattrNamespace> {
        match self.options.whiteouts {
            Whiteouts::Remove | Whiteouts::Literal => None,
            Whiteouts::Overlay(namespace) => Some(namespace),
        }
    }

    /// The tar is an archive of files and no layer.
    pub fn is_literal(&self) -> bool {
        self.options.whiteouts == Whiteouts::Literal
    }

    pub fn has_written(&self, dir: u64, name: &[u8]) -> bool {
        self.written.contains(dir, name)
    }

    pub fn note_written(&mut self, dir: u64, name: &[u8]) {
        self.written.insert(dir, name);
    }

    /// Forgets a directory that is gone; its inode number may come back as another one's.
    pub fn forget(&mut self, dir: u64) {
        self.written.forget(dir);
        self.ends.remove(&dir);
    }

    /// To be called whenever a name stops being the directory or the symlink it was.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// What is at `name`.
    pub fn node(&self, dir: &Dir, name: &[u8]) -> Result<Option<Node>, Fault> {
        node_at(dir.fd.as_fd(), name).map_err(io("examine"))
    }

    /// What lies below `name` and would show if the tree had nothing there.
    pub fn below(&self, dir: &Dir, name: &[u8]) -> Result<Option<Shown>, Fault> {
        self.lower.find(&dir.place, &dir.path, name).map_err(lower_fault)
    }

    /// Goes down `path` from the root, through symlinks as a process with this root would see them.
    ///
    /// `None` when there is no such directory and none was to be made.
    pub fn enter(&mut self, path: &[&[u8]], missing: Missing) -> Result<Option<Arc<Dir>>, Fault> {
        let mut todo: VecDeque<Vec<u8>> = path.iter().map(|part| part.to_vec()).collect();
        let mut at = Arc::clone(&self.root);
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == b".." {
                // From a symlink's target. The path is real, so its parent is its textual parent.
                let up = crate::source::split(&at.path).0.to_vec();
                at = Arc::clone(&self.root);
                prepend(&mut todo, &up);
                continue;
            }
            match self.step(&at, &name, missing)? {
                Step::Down(dir) => at = dir,
                Step::Nothing => return Ok(None),
                Step::Link(target) => {
                    links += 1;
                    if links > MOST_SYMLINKS {
                        return Err(Fault::Refused("its directory is a loop of symlinks"));
                    }
                    if target.starts_with(b"/") {
                        at = Arc::clone(&self.root);
                    }
                    prepend(&mut todo, &target);
                    if todo.len() > 4096 {
                        return Err(Fault::Refused("its directory is too deep"));
                    }
                }
            }
        }
        Ok(Some(at))
    }

    fn step(&mut self, at: &Arc<Dir>, name: &[u8], missing: Missing) -> Result<Step, Fault> {
        let path = join(&at.path, name);
        if let Some(dir) = self.open.get(&path) {
            return Ok(Step::Down(Arc::clone(dir)));
        }
        match open_dir(at.fd.as_fd(), name) {
            Ok(fd) => self.opened(at, name, path, fd).map(Step::Down),
            Err(Errno::NOENT) => self.absent(at, name, missing),
            Err(Errno::NOTDIR | Errno::LOOP) => self.obstacle(at, name, missing),
            Err(error) => Err(io("open the directory of")(error)),
        }
    }

    fn opened(&mut self, at: &Dir, name: &[u8], path: Vec<u8>, fd: OwnedFd) -> Result<Arc<Dir>, Fault> {
        let node: Node = fstat(&fd).map_err(io("examine the directory of"))?.into();
        let ino = node.inode.ino;
        let end = || DirEnd { parent: at.ino, name: name.into(), mtime: node.mtime };
        let (known, limit) = (self.ends.len() as u64, self.options.limits.directories);
        match self.ends.entry(ino) {
            Entry::Vacant(_) if known >= limit => {
                return Err(Fault::TooMuch { what: "the number of directories", found: known + 1, limit });
            }
            entry => _ = entry.or_insert_with(end),
        }
        let place = self.place_of(at, name, fd.as_fd())?;
        let default_acl = has_default_acl(fd.as_fd()).map_err(io("read the ACL of the directory of"))?;
        if self.open.len() >= MOST_OPEN {
            self.open.clear();
        }
        let dir = Arc::new(Dir { fd, ino, path: path.clone(), place, default_acl });
        self.open.insert(path, Arc::clone(&dir));
        Ok(dir)
    }

    fn place_of(&self, at: &Dir, name: &[u8], fd: BorrowedFd<'_>) -> Result<Place, Fault> {
        let Some(namespace) = self.namespace() else { return Ok(Place::nowhere()) };
        if at.place.is_nowhere() {
            return Ok(Place::nowhere());
        }
        let opaque = Of::Fd(fd).get(&namespace.key("opaque")).map_err(io("read the xattrs of the directory of"))?;
        if opaque.as_deref() == Some(b"y") {
            return Ok(Place::nowhere());
        }
        Ok(self.below(at, name)?.map_or(Place::nowhere(), |shown| shown.place))
    }

    /// The tree has nothing at `name`; something may show from below.
    fn absent(&mut self, at: &Arc<Dir>, name: &[u8], missing: Missing) -> Result<Step, Fault> {
        let path = join(&at.path, name);
        match self.below(at, name)? {
            Some(shown) if shown.node.is_dir() => {
                let attributes = self.lower_attributes(&shown, &path)?;
                self.make_dir(at, name, &attributes).map(Step::Down)
            }
            Some(shown) if shown.node.kind == NodeKind::Symlink => {
                self.lower.layer(shown.layer).link_target(&path).map(Step::Link).map_err(lower_fault)
            }
            _ if missing == Missing::Make => self.make_dir(at, name, &Attributes::implied()).map(Step::Down),
            _ => Ok(Step::Nothing),
        }
    }

    /// The tree has something at `name` that is no directory.
    fn obstacle(&mut self, at: &Arc<Dir>, name: &[u8], missing: Missing) -> Result<Step, Fault> {
        if self.node(at, name)?.is_some_and(|node| node.kind == NodeKind::Symlink) {
            let target = readlinkat(&at.fd, name, Vec::new()).map_err(io("read the symlink in the path of"))?;
            return Ok(Step::Link(target.into_bytes()));
        }
        if missing == Missing::Stop {
            return Ok(Step::Nothing);
        }
        if self.has_written(at.ino, name) {
            return Err(Fault::Refused("its parent is no directory but an earlier entry"));
        }
        // What was there before cannot stay if there is to be something beneath it.
        unlinkat(&at.fd, name, AtFlags::empty()).map_err(io("replace the parent of"))?;
        let dir = self.make_dir(at, name, &Attributes::implied())?;
        self.make_opaque(at, name, &dir).map(Step::Down)
    }

    /// Makes a directory and remembers its times for the end.
    pub fn make_dir(&mut self, at: &Arc<Dir>, name: &[u8], to: &Attributes) -> Result<Arc<Dir>, Fault> {
        let mode = Mode::RWXU | (Mode::from_raw_mode(to.mode) & (Mode::RWXG | Mode::RWXO));
        mkdirat(&at.fd, name, mode).map_err(io("make the directory"))?;
        let fd = open_dir(at.fd.as_fd(), name).map_err(io("open the directory"))?;
        let path = join(&at.path, name);
        self.setter.open(fd.as_fd(), to, at.default_acl, &path)?;
        let dir = self.opened(at, name, path, fd)?;
        self.set_end(dir.ino, at.ino, name, to.mtime);
        Ok(dir)
    }

    pub fn set_end(&mut self, dir: u64, parent: u64, name: &[u8], mtime: (i64, u32)) {
        self.ends.insert(dir, DirEnd { parent, name: name.into(), mtime });
    }

    /// To be called when what was read of one directory on opening it has changed.
    pub fn close(&mut self, path: &[u8]) {
        self.open.remove(path);
    }

    /// Hides what lies below a directory that was just made where something else was, or was deleted, before.
    pub fn make_opaque(&mut self, at: &Arc<Dir>, name: &[u8], dir: &Arc<Dir>) -> Result<Arc<Dir>, Fault> {
        let Some(namespace) = self.namespace() else { return Ok(Arc::clone(dir)) };
        if !self.below(at, name)?.is_some_and(|shown| shown.node.is_dir()) {
            return Ok(Arc::clone(dir));
        }
        Of::Fd(dir.fd.as_fd()).set(&namespace.key("opaque"), b"y").map_err(io("make opaque the directory"))?;
        self.close_all();
        let fd = open_dir(at.fd.as_fd(), name).map_err(io("open the directory"))?;
        self.opened(at, name, dir.path.clone(), fd)
    }

    /// What a directory or file below is like, for a copy of it.
    pub fn lower_attributes(&self, shown: &Shown, path: &[u8]) -> Result<Attributes, Fault> {
        let xattrs = self.lower.layer(shown.layer).xattrs(path).map_err(lower_fault)?;
        let Node { mode, uid, gid, mtime, .. } = shown.node;
        Ok(Attributes { mode, uid, gid, mtime, xattrs })
    }

    /// The real path of a directory that was entered.
    fn path_of(&self, ino: u64) -> Option<Vec<u8>> {
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut at = ino;
        while at != self.root.ino {
            let end = self.ends.get(&at)?;
            parts.push(&end.name);
            at = end.parent;
        }
        parts.reverse();
        Some(parts.join(&b'/'))
    }

    /// Gives all directories that were entered or made their times, the deepest first. Everything that was made in
    /// them since has moved those times.
    pub fn set_directory_times(&mut self) -> Result<(), Fault> {
        let mut ends: Vec<_> =
            self.ends.iter().filter_map(|(&ino, end)| Some((self.path_of(ino)?, end.mtime))).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        for (path, mtime) in ends {
            let fd = self.source.directory(&path).map_err(lower_fault)?;
            rustix::fs::futimens(&fd, &super::attributes::times(mtime)).map_err(io("set the times of a directory"))?;
        }
        Ok(())
    }
}

enum Step {
    Down(Arc<Dir>),
    Link(Vec<u8>),
    Nothing,
}

fn prepend(todo: &mut VecDeque<Vec<u8>>, path: &[u8]) {
    for part in path.split(|&byte| byte == b'/').rev() {
        if !matches!(part, b"" | b".") {
            todo.push_front(part.to_vec());
        }
    }
}

pub(super) fn open_dir(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(at, name, flags, Mode::empty(), STEP)
}

fn has_default_acl(fd: BorrowedFd<'_>) -> std::io::Result<bool> {
    Of::Fd(fd).get(ACL_DEFAULT).map(|acl| acl.is_some())
}

/// A failure below, seen from the entry that needed something there.
pub(super) fn lower_fault(error: crate::Error) -> Fault {
    match error {
        crate::Error::Io { source, .. } => Fault::Io { op: "look below", source },
        crate::Error::OverlayFeature { .. } => Fault::Refused("a layer below uses redirect_dir or metacopy"),
        _ => Fault::Refused("the layers below cannot be read"),
    }
}
