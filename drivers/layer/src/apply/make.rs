use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    os::fd::AsFd,
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, linkat, makedev, mkdirat, mknodat, openat, symlinkat},
    io::Errno,
};

use super::{
    Devices,
    attributes::{Attributes, io},
    target::{Dir, Missing, Target, lower_fault, open_dir},
};
use crate::{
    Fault,
    node::{Node, NodeKind},
    overlay::stack::Shown,
    source::join,
};

const BUFFER: usize = 1 << 20;

/// Entries that make something.
impl Target<'_> {
    /// `./`: the attributes of the root itself.
    pub fn root_entry(&mut self, to: &Attributes) -> Result<(), Fault> {
        let root = Arc::clone(&self.root);
        self.setter.replace(root.fd.as_fd(), to, b"")?;
        self.set_end(root.ino, root.ino, b"", to.mtime);
        Ok(())
    }

    /// A directory; one that is there keeps what is in it.
    pub fn directory(&mut self, at: &Arc<Dir>, name: &[u8], to: &Attributes) -> Result<(), Fault> {
        let path = join(&at.path, name);
        let there = self.node(at, name)?;
        if there.is_some_and(|node| node.is_dir()) {
            let fd = open_dir(at.fd.as_fd(), name).map_err(io("open"))?;
            self.setter.replace(fd.as_fd(), to, &path)?;
            let ino = rustix::fs::fstat(&fd).map(|stat| Node::from(stat).inode.ino).map_err(io("examine"))?;
            self.set_end(ino, at.ino, name, to.mtime);
            self.close(&path);
        } else {
            if let Some(node) = &there {
                self.delete(at, name, node)?;
            }
            let dir = self.make_dir(at, name, to)?;
            // A file or a whiteout was here, in this tar or before it: what lies below that stays hidden.
            if there.is_some() || self.hidden.contains(at.ino, name) {
                self.make_opaque(at, name, &dir)?;
            }
        }
        self.note_written(at.ino, name);
        Ok(())
    }

    /// Makes an empty file, with its mode as far as the umask lets it. Its other attributes come with its content.
    pub fn file(&mut self, at: &Dir, name: &[u8], to: &Attributes) -> Result<File, Fault> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(to.mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
        let file = self.place(at, name, || openat(&at.fd, name, flags, mode), "make the file")?;
        Ok(file.into())
    }

    pub fn symlink(&mut self, at: &Dir, name: &[u8], target: &[u8], to: &Attributes) -> Result<(), Fault> {
        if target.is_empty() || target.contains(&0) {
            return Err(Fault::Refused("its symlink target is empty or holds a NUL byte"));
        }
        self.place(at, name, || symlinkat(target, &at.fd, name), "make the symlink")?;
        self.attributes(at, name, to, true)
    }

    pub fn fifo(&mut self, at: &Dir, name: &[u8], to: &Attributes) -> Result<(), Fault> {
        let make = || mknodat(&at.fd, name, FileType::Fifo, Mode::empty(), 0);
        self.place(at, name, make, "make the fifo")?;
        self.attributes(at, name, to, false)
    }

    pub fn device(
        &mut self,
        at: &Dir,
        name: &[u8],
        kind: FileType,
        number: (u32, u32),
        to: &Attributes,
    ) -> Result<(), Fault> {
        let path = join(&at.path, name);
        let is_whiteout = kind == FileType::CharacterDevice && number == Node::WHITEOUT;
        if is_whiteout && self.namespace().is_some() {
            self.setter.notes.skip(&path, "a 0:0 character device would be a whiteout on overlayfs");
            return Ok(());
        }
        if self.options.devices == Devices::Skip {
            self.setter.notes.skip(&path, "device nodes cannot be made here");
            return Ok(());
        }
        let make = || mknodat(&at.fd, name, kind, Mode::empty(), makedev(number.0, number.1));
        self.place(at, name, make, "make the device")?;
        self.attributes(at, name, to, false)
    }

    fn attributes(&self, at: &Dir, name: &[u8], to: &Attributes, is_symlink: bool) -> Result<(), Fault> {
        let path = join(&at.path, name);
        self.setter.named(at.fd.as_fd(), name, to, is_symlink, at.default_acl, &path)
    }

    /// Makes something that is no directory, in the place of whatever is there.
    fn place<T>(
        &mut self,
        at: &Dir,
        name: &[u8],
        make: impl Fn() -> Result<T, Errno>,
        what: &'static str,
    ) -> Result<T, Fault> {
        let made = match make() {
            Err(Errno::EXIST) => {
                if let Some(node) = self.node(at, name)? {
                    self.delete(at, name, &node)?;
                }
                make()
            }
            made => made,
        };
        let made = made.map_err(io(what))?;
        self.note_written(at.ino, name);
        Ok(made)
    }

    /// A hard link to something that this tar or what was before it has.
    pub fn hard_link(&mut self, at: &Arc<Dir>, name: &[u8], target: &[u8]) -> Result<(), Fault> {
        let mut parent = super::name::components(target)?;
        let missing = || {
            use std::os::unix::ffi::OsStringExt;
            Fault::NoLinkTarget(std::ffi::OsString::from_vec(target.to_vec()).into())
        };
        let base = parent.pop().ok_or_else(missing)?;
        let dir = self.enter(&parent, Missing::Stop)?.ok_or_else(missing)?;
        if dir.ino == at.ino && base == name && self.has_written(at.ino, name) {
            return Ok(());
        }
        match self.node(&dir, base)? {
            Some(node) if node.is_dir() => return Err(Fault::Refused("its hard link's target is a directory")),
            Some(node) if self.namespace().is_some() && node.is_whiteout_device() => return Err(missing()),
            Some(_) => {}
            None => match self.below(&dir, base)? {
                Some(shown) if !shown.node.is_dir() => self.copy_up(&dir, base, &shown)?,
                _ => return Err(missing()),
            },
        }
        if dir.ino == at.ino && base == name {
            return Ok(());
        }
        let make = || linkat(&dir.fd, base, &at.fd, name, AtFlags::empty());
        match self.place(at, name, make, "make the hard link") {
            // Making room for the link has taken its target away.
            Err(Fault::Io { source, .. }) if source.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                Err(missing())
            }
            answer => answer,
        }
    }

    /// Copies a file of a layer below into the tree, as overlayfs does before it links to it.
    fn copy_up(&mut self, at: &Arc<Dir>, name: &[u8], shown: &Shown) -> Result<(), Fault> {
        let path = join(&at.path, name);
        let to = self.lower_attributes(shown, &path)?;
        let source = self.lower.layer(shown.layer);
        let node = shown.node;
        match node.kind {
            NodeKind::File => {
                self.lower.check_data(shown, &path).map_err(lower_fault)?;
                let from = source.file(&path).map_err(io("open below"))?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::RUSR | Mode::WUSR;
                let file = openat(&at.fd, name, flags, mode).map_err(io("copy up"))?;
                let mut file = File::from(file);
                copy_sparse(from, &mut file, node.size).map_err(io("copy up"))?;
                return self.setter.open(file.as_fd(), &to, at.default_acl, &path);
            }
            NodeKind::Symlink => {
                let target = source.link_target(&path).map_err(lower_fault)?;
                symlinkat(target, &at.fd, name).map_err(io("copy up"))?;
            }
            NodeKind::Fifo | NodeKind::Socket | NodeKind::CharDevice | NodeKind::BlockDevice => {
                let kind = match node.kind {
                    NodeKind::Fifo => FileType::Fifo,
                    NodeKind::Socket => FileType::Socket,
                    NodeKind::CharDevice => FileType::CharacterDevice,
                    _ => FileType::BlockDevice,
                };
                let number = makedev(node.device.0, node.device.1);
                mknodat(&at.fd, name, kind, Mode::empty(), number).map_err(io("copy up"))?;
            }
            NodeKind::Directory => mkdirat(&at.fd, name, Mode::RWXU).map_err(io("copy up"))?,
        }
        self.attributes(at, name, &to, node.kind == NodeKind::Symlink)
    }
}

/// Blocks of zeros become holes. As with a body of a layer, the size comes first.
fn copy_sparse(mut from: File, to: &mut File, size: u64) -> std::io::Result<()> {
    to.set_len(size)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer[..read].iter().all(|&byte| byte == 0) {
            to.seek(SeekFrom::Current(i64::try_from(read).unwrap_or(0)))?;
        } else {
            to.write_all(&buffer[..read])?;
        }
    }
    Ok(())
}
