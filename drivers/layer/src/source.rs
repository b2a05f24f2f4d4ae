use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat, statat};
use rustix::io::Errno;

use crate::{
    Error, Result,
    node::Node,
    xattrs::{Of, Xattrs},
};

/// No symlink is followed, not even one that a running container puts in a directory's place meanwhile.
const STAY: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Longer paths are opened in pieces: the kernel takes at most `PATH_MAX`, 4096 bytes, at once, and trees can be
/// deeper than that.
const PIECE: usize = 4000;

/// A tree that is read, by paths relative to its root without a leading slash.
#[derive(Debug)]
pub(crate) struct Source {
    fd: OwnedFd,
    path: PathBuf,
}

impl Source {
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(Error::io("open", path))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// For messages.
    pub fn full(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// Whether an error says that something within this tree has gone away since it was last looked at: a tree in
    /// use changes while it is read.
    pub fn has_lost(&self, error: &Error) -> bool {
        let Error::Io { path, source, .. } = error else { return false };
        let is_gone = matches!(Errno::from_io_error(source), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP));
        is_gone && path.starts_with(&self.path) && *path != self.path
    }

    pub fn directory(&self, path: &[u8]) -> Result<OwnedFd> {
        self.open_with(path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(Error::io("open", self.full(path)))
    }

    /// `O_NONBLOCK`, since a fifo may have come in the file's place.
    pub fn file(&self, path: &[u8]) -> Result<File, Errno> {
        self.open_with(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK).map(File::from)
    }

    fn open_with(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        if path.is_empty() {
            return openat(&self.fd, ".", flags, Mode::empty());
        }
        let (start, rest) = self.approach(path)?;
        let start = start.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
        openat2(start, rest, flags, Mode::empty(), STAY)
    }

    /// Opens as many leading directories as it takes for the rest to be short enough.
    fn approach<'p>(&self, path: &'p [u8]) -> Result<(Option<OwnedFd>, &'p [u8]), Errno> {
        let mut start: Option<OwnedFd> = None;
        let mut rest = path;
        while rest.len() > PIECE {
            let Some(cut) = rest[..PIECE].iter().rposition(|&byte| byte == b'/') else { break };
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let from = start.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            start = Some(openat2(from, &rest[..cut], flags, Mode::empty(), STAY)?);
            rest = &rest[cut + 1..];
        }
        Ok((start, rest))
    }

    /// What is at `path`; `None` where nothing is. Its parents must be known to be real directories.
    pub fn node(&self, path: &[u8]) -> Result<Option<Node>> {
        self.try_node(path).map_err(Error::io("examine", self.full(path)))
    }

    fn try_node(&self, path: &[u8]) -> Result<Option<Node>, Errno> {
        if path.is_empty() {
            return rustix::fs::fstat(&self.fd).map(|stat| Some(stat.into()));
        }
        let (start, rest) = self.approach(path)?;
        node_at(start.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd), rest)
    }

    /// Runs `look` with the open parent directory of `path` and the last component.
    fn in_parent<T>(&self, path: &[u8], look: impl FnOnce(BorrowedFd<'_>, &[u8]) -> io::Result<T>) -> io::Result<T> {
        let (parent, name) = split(path);
        if parent.is_empty() {
            return look(self.fd.as_fd(), name);
        }
        let dir = self.open_with(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        look(dir.as_fd(), name)
    }

    pub fn link_target(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.in_parent(path, |dir, name| Ok(readlinkat(dir, name, Vec::new())?.into_bytes()))
            .map_err(Error::io("read the symlink", self.full(path)))
    }

    /// The names of all xattrs, overlayfs's own too.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is for one lifetime, the closure for any"
    )]
    pub fn xattr_names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.with_xattrs(path, |of| of.names())
    }

    pub fn xattr(&self, path: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.with_xattrs(path, |of| of.get(key))
    }

    /// All xattrs that belong to a layer.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is for one lifetime, the closure for any"
    )]
    pub fn xattrs(&self, path: &[u8]) -> Result<Xattrs> {
        self.with_xattrs(path, |of| of.read())
    }

    pub fn with_xattrs<T>(&self, path: &[u8], read: impl FnOnce(Of<'_>) -> io::Result<T>) -> Result<T> {
        let answer = if path.is_empty() {
            read(Of::Fd(self.fd.as_fd()))
        } else {
            self.in_parent(path, |dir, name| read(Of::Name(dir, name)))
        };
        answer.map_err(Error::io("read the xattrs of", self.full(path)))
    }
}

/// What `name` is in the directory `dir`; `None` where nothing is.
pub(crate) fn node_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Node>, Errno> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat.into())),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in an open directory, sorted, without `.` and `..`.
pub(crate) fn names_in(dir: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    Ok(entries_in(dir)?.into_iter().map(|(name, _)| name).collect())
}

/// The same, each with its inode number.
pub(crate) fn entries_in(dir: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, u64)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            entries.push((name.to_vec(), entry.ino()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// Parent and last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.iter().rposition(|&byte| byte == b'/').map_or((&[], path), |cut| (&path[..cut], &path[cut + 1..]))
}

pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() {
        return name.to_vec();
    }
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}
