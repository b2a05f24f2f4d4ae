//! From memory to files.

use std::{
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, Timespec, Timestamps, Uid, XattrFlags};
use storage_driver::{Error, Result};

use crate::tree::{Content, Kind, Metadata, NodeId, Tree};

/// Makes `tree` out of the empty directory `target`.
///
/// # Errors
/// What the kernel said; part of the tree may be there then.
pub fn lay_out(tree: &Tree, target: &Path) -> Result<()> {
    let mut made = vec![None; tree.nodes.len()];
    Layout { tree, made: &mut made }.directory(Tree::ROOT, target)
}

struct Layout<'a> {
    tree: &'a Tree,
    /// Where each inode was made first; further names are links to it.
    made: &'a mut Vec<Option<PathBuf>>,
}

impl Layout<'_> {
    /// Fills the directory at `path` and then sets its metadata, so that filling it does not move its time.
    fn directory(&mut self, id: NodeId, path: &Path) -> Result<()> {
        let tree = self.tree;
        for (name, child) in tree.entries(id) {
            self.entry(child, &path.join(name))?;
        }
        set_metadata(path, &tree.node(id).metadata, FileType::Directory)
    }

    fn entry(&mut self, id: NodeId, path: &Path) -> Result<()> {
        if let Some(first) = &self.made[id.0] {
            return rustix::fs::linkat(CWD, first, CWD, path, AtFlags::empty()).map_err(Error::io("link", path));
        }
        self.made[id.0] = Some(path.to_owned());
        let node = self.tree.node(id);
        let mode = Mode::RUSR | Mode::WUSR;
        let make = |kind, device| {
            rustix::fs::mknodat(CWD, path, kind, mode, device).map_err(Error::io("create", path))?;
            set_metadata(path, &node.metadata, kind)
        };
        match &node.kind {
            Kind::Directory(_) => {
                rustix::fs::mkdirat(CWD, path, Mode::RWXU).map_err(Error::io("create", path))?;
                self.directory(id, path)
            }
            Kind::File(content) => {
                write(path, content)?;
                set_metadata(path, &node.metadata, FileType::RegularFile)
            }
            Kind::Symlink(target) => {
                rustix::fs::symlinkat(target, CWD, path).map_err(Error::io("create", path))?;
                set_metadata(path, &node.metadata, FileType::Symlink)
            }
            Kind::Fifo => make(FileType::Fifo, 0),
            Kind::Socket => make(FileType::Socket, 0),
            Kind::Character(device) => make(FileType::CharacterDevice, *device),
            Kind::Block(device) => make(FileType::BlockDevice, *device),
        }
    }
}

fn write(path: &Path, content: &Content) -> Result<()> {
    let io = || -> rustix::io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?;
        for (offset, bytes) in &content.segments {
            write_at(&file, bytes, *offset)?;
        }
        rustix::fs::ftruncate(&file, content.size)
    };
    io().map_err(Error::io("write", path))
}

fn write_at(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::pwrite(file, bytes, offset)?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

/// Owner before mode and capabilities, since chown(2) takes setuid bits and capabilities away; time last.
fn set_metadata(path: &Path, metadata: &Metadata, kind: FileType) -> Result<()> {
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let (uid, gid) = (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), nofollow).map_err(Error::io("chown", path))?;
    if kind != FileType::Symlink {
        let mode = Mode::from_raw_mode(metadata.mode as RawMode);
        rustix::fs::chmodat(CWD, path, mode, AtFlags::empty()).map_err(Error::io("chmod", path))?;
    }
    for (name, value) in &metadata.xattrs {
        rustix::fs::lsetxattr(path, name.as_bytes(), value, XattrFlags::empty())
            .map_err(Error::io("set an xattr of", path))?;
    }
    let time = Timespec { tv_sec: metadata.mtime.0, tv_nsec: metadata.mtime.1.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, nofollow).map_err(Error::io("set the times of", path))
}
