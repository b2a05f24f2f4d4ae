use std::{
    fs::File,
    io::{self, ErrorKind},
    os::{fd::AsFd, unix::fs::FileExt},
    path::PathBuf,
};

use rustix::{fs::fstat, io::Errno};
use storage_driver::Skipped;

use super::{
    holes,
    plan::{Planned, What},
};
use crate::{
    Error, Result,
    manifest::Region,
    node::{Node, NodeKind},
    source::Source,
    tar::{BLOCK, encode::Header, kind, padding, sparse},
    xattrs::{Of, Xattrs},
};

/// How much is handed on at once.
const PIECE: usize = 1 << 20;

/// What was rendered.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub entries: u64,
    pub content: u64,
    pub skipped: Vec<Skipped>,
}

impl Totals {
    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.content += other.content;
        self.skipped.extend(other.skipped);
    }
}

/// Takes rendered bytes; answers with an empty buffer, or nothing when nobody wants any more.
pub(super) type Emit<'a> = dyn FnMut(Vec<u8>) -> Option<Vec<u8>> + 'a;

/// Renders entries one after the other.
pub(super) struct Renderer<'a> {
    pub source: &'a Source,
    pub emit: &'a mut Emit<'a>,
    pub buffer: Vec<u8>,
    pub totals: Totals,
}

/// Nobody wants any more.
pub(super) struct Stopped;

/// An error of the tree, or that the receiver has stopped, for a reason that it knows.
type Answer<T> = Result<T, Halt>;

pub(super) enum Halt {
    Failed(Error),
    Stopped,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Stopped> for Halt {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Renderer<'_> {
    pub fn entries(&mut self, entries: &[Planned]) -> Answer<()> {
        for entry in entries {
            self.entry(entry)?;
        }
        self.flush()
    }

    fn entry(&mut self, entry: &Planned) -> Answer<()> {
        let name = &entry.name;
        match &entry.what {
            What::Whiteout => self.header(&Header { name, kind: kind::FILE, ..Header::default() }),
            What::Link { target, node } => {
                self.header(&Header { link: target, kind: kind::HARD_LINK, ..attributes(name, node, &[]) });
            }
            What::Node { path, node } if node.is_file() => return self.file(name, path),
            What::Node { path, node } => {
                let xattrs = match self.source.xattrs(path) {
                    Ok(xattrs) => xattrs,
                    Err(error) => return self.vanished(path, error),
                };
                return self.special(name, path, node, &xattrs);
            }
        }
        Ok(())
    }

    fn special(&mut self, name: &[u8], path: &[u8], node: &Node, xattrs: &Xattrs) -> Answer<()> {
        let mut header = attributes(name, node, xattrs);
        let target;
        header.kind = match node.kind {
            NodeKind::Directory => kind::DIRECTORY,
            NodeKind::Fifo => kind::FIFO,
            NodeKind::CharDevice => kind::CHAR_DEVICE,
            NodeKind::BlockDevice => kind::BLOCK_DEVICE,
            NodeKind::Symlink => {
                target = match self.source.link_target(path) {
                    Ok(target) => target,
                    Err(error) => return self.vanished(path, error),
                };
                header.link = &target;
                kind::SYMLINK
            }
            // Files are rendered elsewhere, and sockets are not planned.
            NodeKind::File | NodeKind::Socket => return Ok(()),
        };
        if matches!(node.kind, NodeKind::CharDevice | NodeKind::BlockDevice) {
            header.device = node.device;
        }
        self.header(&header);
        Ok(())
    }

    fn header(&mut self, header: &Header<'_>) {
        header.encode(&mut self.buffer);
        self.totals.entries += 1;
    }

    /// A path of a tree in use may go away between the walk and now; that is noted, and the rest still exported.
    fn vanished(&mut self, path: &[u8], error: Error) -> Answer<()> {
        match error {
            Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
                self.skip(path);
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    fn skip(&mut self, path: &[u8]) {
        use std::os::unix::ffi::OsStringExt;
        let path: PathBuf = std::ffi::OsString::from_vec(path.to_vec()).into();
        self.totals.skipped.push(Skipped { path, why: "it was removed or replaced during the export" });
    }

    fn file(&mut self, name: &[u8], path: &[u8]) -> Answer<()> {
        let file = match self.source.file(path) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => {
                self.skip(path);
                return Ok(());
            }
            Err(error) => return Err(Error::io("open", self.source.full(path))(error).into()),
        };
        // The size may have changed since the walk, and the header must be true to what follows it.
        let node: Node = fstat(&file).map_err(self.fail("examine", path))?.into();
        if !node.is_file() {
            self.skip(path);
            return Ok(());
        }
        let xattrs = Of::Fd(file.as_fd()).read().map_err(self.fail("read the xattrs of", path))?;
        let header = Header { kind: kind::FILE, size: node.size, ..attributes(name, &node, &xattrs) };
        if holes::has_holes(&file, node.size) {
            let data = holes::data_regions(&file, node.size).map_err(self.fail("read", path))?;
            return self.sparse(path, &file, &header, &data);
        }
        self.header(&header);
        self.copy(path, &file, Region { offset: 0, length: node.size })?;
        self.pad(node.size);
        Ok(())
    }

    fn fail<E: Into<io::Error>>(&self, op: &'static str, path: &[u8]) -> impl FnOnce(E) -> Error {
        Error::io(op, self.source.full(path))
    }

    fn sparse(&mut self, path: &[u8], file: &File, header: &Header<'_>, data: &[Region]) -> Answer<()> {
        let map = sparse::encode_map(data, header.size);
        let body: u64 = data.iter().map(|region| region.length).sum();
        self.header(&Header { sparse: Some(header.size), size: map.len() as u64 + body, ..*header });
        self.buffer.extend_from_slice(&map);
        for &region in data {
            self.copy(path, file, region)?;
        }
        self.pad(body);
        Ok(())
    }

    /// Writes a part of a file. What was cut off the file meanwhile is written as zeros, as GNU tar does.
    fn copy(&mut self, path: &[u8], file: &File, region: Region) -> Answer<()> {
        let mut at = region.offset;
        let end = region.offset + region.length;
        while at < end {
            if self.buffer.len() >= PIECE - BLOCK {
                self.flush()?;
            }
            let start = self.buffer.len();
            let want = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE - start);
            self.buffer.resize(start + want, 0);
            fill(file, &mut self.buffer[start..], at).map_err(Error::io("read", self.source.full(path)))?;
            at += want as u64;
        }
        self.totals.content += region.length;
        Ok(())
    }

    fn pad(&mut self, size: u64) {
        self.buffer.resize(self.buffer.len() + padding(size), 0);
    }

    fn flush(&mut self) -> Answer<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.buffer = (self.emit)(std::mem::take(&mut self.buffer)).ok_or(Stopped)?;
        Ok(())
    }
}

fn attributes<'a>(name: &'a [u8], node: &Node, xattrs: &'a [(Vec<u8>, Vec<u8>)]) -> Header<'a> {
    Header { name, mode: node.mode, uid: node.uid, gid: node.gid, mtime: node.mtime, xattrs, ..Header::default() }
}

/// Leaves zeros where the file is shorter.
fn fill(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, at) {
            Ok(0) => break,
            Ok(read) => {
                buffer = &mut buffer[read..];
                at += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
