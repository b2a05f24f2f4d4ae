//! From files to memory.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::MetadataExt,
        },
    },
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, SeekFrom},
    io::Errno,
};
use storage_driver::{Error, Result};

use crate::tree::{Content, Kind, Metadata, Node, NodeId, Tree};

/// Reads the whole tree at `root`.
///
/// # Errors
/// What the kernel said.
pub fn read_back(root: &Path) -> Result<Tree> {
    let mut reader = Reader { nodes: vec![], seen: HashMap::new() };
    reader.node(root)?;
    Ok(Tree { nodes: reader.nodes })
}

struct Reader {
    nodes: Vec<Node>,
    /// The inode number on disk of everything that can have several names.
    seen: HashMap<u64, NodeId>,
}

impl Reader {
    fn node(&mut self, path: &Path) -> Result<NodeId> {
        let stat = fs::symlink_metadata(path).map_err(Error::io("stat", path))?;
        let kind = FileType::from_raw_mode(stat.mode());
        if let Some(id) = self.seen.get(&stat.ino()) {
            return Ok(*id);
        }
        let id = NodeId(self.nodes.len());
        self.seen.insert(stat.ino(), id);
        let metadata = Metadata {
            mode: stat.mode() & 0o7777,
            uid: stat.uid(),
            gid: stat.gid(),
            mtime: (stat.mtime(), u32::try_from(stat.mtime_nsec()).unwrap_or_default()),
            xattrs: xattrs(path).map_err(Error::io("read the xattrs of", path))?,
        };
        self.nodes.push(Node { metadata, kind: Kind::Fifo });
        self.nodes[id.0].kind = match kind {
            FileType::Directory => Kind::Directory(self.entries(path)?),
            FileType::RegularFile => Kind::File(Arc::new(content(path).map_err(Error::io("read", path))?)),
            FileType::Symlink => Kind::Symlink(fs::read_link(path).map_err(Error::io("read", path))?.into_os_string()),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::Character(stat.rdev()),
            FileType::BlockDevice => Kind::Block(stat.rdev()),
            FileType::Unknown => {
                let why = format!("its mode {:o} names no kind of file", stat.mode());
                return Err(Error::Corrupt { path: path.to_owned(), why });
            }
        };
        Ok(id)
    }

    fn entries(&mut self, path: &Path) -> Result<BTreeMap<OsString, NodeId>> {
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
            let entry = entry.map_err(Error::io("read", path))?;
            match self.node(&entry.path()) {
                Ok(id) => _ = entries.insert(entry.file_name(), id),
                // A mounted layer may change while it is looked at; what is gone by now is not part of it.
                Err(_) if fs::symlink_metadata(entry.path()).is_err_and(is_not_found) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that `is_err_and` wants")]
fn is_not_found(error: std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}

fn content(path: &Path) -> rustix::io::Result<Content> {
    let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or_default();
    let mut segments = vec![];
    let mut position = 0;
    while position < size {
        // ENXIO: no data from here to the end (lseek(2)).
        let start = match rustix::fs::seek(&file, SeekFrom::Data(position)) {
            Err(Errno::NXIO) => break,
            start => start?,
        };
        let end = rustix::fs::seek(&file, SeekFrom::Hole(start))?.min(size);
        segments.push((start, read_at(&file, start, end)?));
        position = end;
    }
    Ok(Content { size, segments })
}

fn read_at(file: &OwnedFd, start: u64, end: u64) -> rustix::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(end - start).map_err(|_| Errno::FBIG)?];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::pread(file, &mut bytes[filled..], start + filled as u64)? {
            0 => break, // cut short meanwhile
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn xattrs(path: &Path) -> rustix::io::Result<BTreeMap<OsString, Vec<u8>>> {
    let names = match whole(|buffer| rustix::fs::llistxattr(path, buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
        names => names?,
    };
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let value = whole(|buffer| rustix::fs::lgetxattr(path, OsStr::from_bytes(name), buffer))?;
            Ok((OsString::from_vec(name.to_vec()), value))
        })
        .collect()
}

/// Lists and values of xattrs are at most 64 KiB (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`; xattr(7)).
fn whole(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 65536];
    let len = read(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}
