use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::{Arc, PoisonError},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, fstat, linkat, mkdirat, statat},
    io::Errno,
};

use super::{
    CopyOptions, CopyStats, Existing, Keep,
    attributes::Attributes,
    entry::replacing,
    inode_of,
    work::{self, Crew, Hand, Pair, Submit},
};
use storage_driver::Skipped;

use crate::{
    Error, Result,
    node::Inode,
    source::{Source, join, split},
    xattrs::{ACL_DEFAULT, Of},
};

/// See [`super::tree`].
pub(super) fn tree(from: &Path, to: &Path, options: &CopyOptions<'_>) -> Result<CopyStats> {
    let (from, to) = (Source::open(from)?, Source::open(to)?);
    let crew = Crew::new(options, options.existing);
    let mut walker = Walker::new(&crew, &from, &to)?;
    let mut stats = work::run(&crew, |submit| walker.walk(submit))?;
    stats.links = walker.links()?;
    stats.skipped.extend(walker.attributes()?);
    Ok(stats)
}

/// See [`super::attributes()`].
pub(super) fn attributes(from: &Path, to: &Path, options: &CopyOptions<'_>) -> Result<CopyStats> {
    let (from, to) = (Source::open(from)?, Source::open(to)?);
    let crew = Crew::new(options, Existing::Refuse);
    let skipped = Walker::new(&crew, &from, &to)?.attributes()?;
    Ok(CopyStats { skipped, ..CopyStats::default() })
}

/// A directory of the source that is still to be read.
struct Pending {
    path: Vec<u8>,
    /// It is in the target already. Else it is made when something in it is copied.
    made: bool,
}

/// Goes through the directories and makes them; they get their attributes when all is in place, since until then
/// they are written to, and their times with them.
struct Walker<'a> {
    crew: &'a Crew<'a>,
    from: &'a Source,
    to: &'a Source,
    target: Inode,
    pending: Vec<Pending>,
    /// Directories that were made, parents before children.
    made: Vec<(Vec<u8>, Attributes)>,
    stats: CopyStats,
}

impl<'a> Walker<'a> {
    fn new(crew: &'a Crew<'a>, from: &'a Source, to: &'a Source) -> Result<Self> {
        let target = to.directory(b"").and_then(|fd| inode_of(&fd).map_err(Error::io("examine", to.full(b""))))?;
        let pending = vec![Pending { path: Vec::new(), made: true }];
        let mut walker = Self { crew, from, to, target, pending, made: Vec::new(), stats: CopyStats::default() };
        if crew.existing == Existing::Refuse {
            walker.take_over_root()?;
        }
        Ok(walker)
    }

    /// The target's root is going to be like the source's. What it hands down to new files must go now.
    fn take_over_root(&mut self) -> Result<()> {
        let root = self.to.directory(b"")?;
        let _ = Of::Fd(root.as_fd()).remove(ACL_DEFAULT);
        let source = self.from.directory(b"")?;
        let attributes = self.read_attributes(&source, b"")?;
        self.made.push((Vec::new(), attributes));
        Ok(())
    }

    fn read_attributes(&self, dir: &OwnedFd, path: &[u8]) -> Result<Attributes> {
        let stat = fstat(dir).map_err(Error::io("examine", self.from.full(path)))?;
        let xattrs = Of::Fd(dir.as_fd()).read().map_err(Error::io("read the xattrs of", self.from.full(path)))?;
        Ok(Attributes::new(&stat, xattrs, self.crew.options))
    }

    fn walk(&mut self, submit: Submit<'_>) -> Result<CopyStats> {
        while let Some(next) = self.pending.pop() {
            if !self.directory(next, submit)? {
                break;
            }
        }
        Ok(std::mem::take(&mut self.stats))
    }

    fn directory(&mut self, Pending { path, made }: Pending, submit: Submit<'_>) -> Result<bool> {
        let from = Arc::new(self.from.directory(&path)?);
        if inode_of(&from).map_err(Error::io("examine", self.from.full(&path)))? == self.target {
            let why = std::io::Error::other("the copy would contain itself");
            return Err(Error::io("copy", self.from.full(&path))(why));
        }
        let listing = listing(&from).map_err(Error::io("read the directory", self.from.full(&path)))?;
        let mut pair = if made { Some(self.pair(&from, &path)?) } else { None };
        for (name, kind) in listing {
            let child = join(&path, &name);
            let is_dir = kind == FileType::Directory;
            match self.decide(&child, is_dir) {
                Keep::Within if is_dir => self.pending.push(Pending { path: child, made: false }),
                Keep::No | Keep::Within => {}
                Keep::Yes => {
                    let pair = match &mut pair {
                        Some(pair) => &*pair,
                        none => &*none.insert(self.make_late(&from, &path)?),
                    };
                    if is_dir {
                        self.make(pair, &name, &child)?;
                        self.pending.push(Pending { path: child, made: true });
                    } else if !submit((Arc::clone(pair), name, kind))? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn decide(&self, path: &[u8], is_dir: bool) -> Keep {
        self.crew.options.filter.map_or(Keep::Yes, |filter| filter(Path::new(OsStr::from_bytes(path)), is_dir))
    }

    fn pair(&self, from: &Arc<OwnedFd>, path: &[u8]) -> Result<Arc<Pair>> {
        let to = self.to.directory(path)?;
        // What this copy made itself has no ACLs yet.
        let inherits = self.crew.existing != Existing::Refuse
            && Of::Fd(to.as_fd()).get(ACL_DEFAULT).map_err(Error::io("read the ACL of", self.to.full(path)))?.is_some();
        Ok(Arc::new(Pair {
            from: Arc::clone(from),
            to,
            path: path.to_vec(),
            from_path: self.from.full(b""),
            to_path: self.to.full(b""),
            inherits,
        }))
    }

    /// Makes a directory that was only looked into until now, and those above it.
    fn make_late(&mut self, from: &Arc<OwnedFd>, path: &[u8]) -> Result<Arc<Pair>> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let (upper, name) = split(&path[..end]);
            if self.to.node(&path[..end])?.is_some_and(|node| node.is_dir()) {
                continue;
            }
            let above = self.pair(&Arc::new(self.from.directory(upper)?), upper)?;
            self.make(&above, name, &path[..end])?;
        }
        self.pair(from, path)
    }

    fn make(&mut self, pair: &Pair, name: &[u8], path: &[u8]) -> Result<()> {
        match mkdirat(&pair.to, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) if self.crew.existing != Existing::Refuse => {
                is_directory(pair, name)?;
                if self.crew.existing == Existing::Overwrite {
                    let attributes = self.read_attributes(&self.from.directory(path)?, path)?;
                    self.made.push((path.to_vec(), attributes));
                }
                return Ok(());
            }
            Err(error) => return Err(Error::io("create", pair.target_name(name))(error)),
        }
        let attributes = self.read_attributes(&self.from.directory(path)?, path)?;
        self.made.push((path.to_vec(), attributes));
        self.stats.directories += 1;
        Ok(())
    }

    /// Makes the further names of hard-linked inodes.
    fn links(&self) -> Result<u64> {
        let firsts = self.crew.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links = self.crew.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for link in links.iter() {
            let Some(first) = firsts.get(&link.first) else { continue };
            let (first_dir, first_name) = split(first);
            let (dir, name) = split(&link.path);
            let (first_dir, dir) = (self.to.directory(first_dir)?, self.to.directory(dir)?);
            let make = || linkat(&first_dir, first_name, &dir, name, AtFlags::empty());
            replacing(self.crew.existing, dir.as_fd(), name, || self.to.full(&link.path), make)?;
        }
        Ok(links.len() as u64)
    }

    /// Gives the directories that were made their attributes, children first: a parent may be closed to its owner
    /// afterwards.
    fn attributes(&self) -> Result<Vec<Skipped>> {
        let mut hand = Hand::new(self.crew);
        for (path, attributes) in self.made.iter().rev() {
            let dir = self.to.directory(path)?;
            let present = fstat(&dir).map_err(Error::io("examine", self.to.full(path)))?;
            let inherited = path.is_empty() || self.crew.existing != Existing::Refuse;
            attributes
                .set_open(dir.as_fd(), (&present).into(), inherited, &mut |xattr, errno| {
                    hand.may_skip(path, xattr, errno)
                })
                .map_err(|(op, source)| Error::io(op, self.to.full(path))(source))?;
        }
        Ok(hand.finish().skipped)
    }
}

/// Names and kinds, in the order of inode numbers: that is how they lie on the disk.
fn listing(dir: &OwnedFd) -> Result<Vec<(Vec<u8>, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode),
            kind => kind,
        };
        found.push((entry.ino(), name.to_vec(), kind));
    }
    found.sort_unstable_by_key(|(inode, ..)| *inode);
    Ok(found.into_iter().map(|(_, name, kind)| (name, kind)).collect())
}

/// What is in the way must be a directory, to be merged into.
fn is_directory(pair: &Pair, name: &[u8]) -> Result<()> {
    let stat =
        statat(&pair.to, name, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::io("examine", pair.target_name(name)))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Ok(());
    }
    Err(Error::io("copy a directory to", pair.target_name(name))(Errno::NOTDIR))
}
