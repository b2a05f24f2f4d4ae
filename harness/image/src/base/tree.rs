use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write,
    path::PathBuf,
};

use storage_layer::{Attributes, TarWriter};

use super::synthetic::content::Content;
use crate::{Error, LayerBlob, Result, Store};

/// Every time in a made image: 2024-01-01T00:00:00Z. A constant, so that the same tree is the same bytes.
pub const MTIME: i64 = 1_704_067_200;

/// A layer that is made up rather than found on disk.
#[derive(Debug, Clone, Default)]
pub struct LayerTree {
    /// By the name in the tar, where a directory ends in a slash: in the tar's order.
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// One entry of it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub node: Node,
    pub mode: u32,
    /// User and group alike.
    pub owner: u32,
}

/// What it is.
#[derive(Debug, Clone)]
pub enum Node {
    Directory,
    File {
        size: u64,
        source: Source,
    },
    Symlink(Vec<u8>),
    /// A further name of the file at this path, which sorts before it.
    HardLink(Vec<u8>),
    Whiteout,
    Opaque,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Made up from this key.
    Seed(String),
    /// Copied from this machine.
    Host(PathBuf),
    /// As given.
    Bytes(Vec<u8>),
}

impl LayerTree {
    pub fn directory(&mut self, path: &[u8], mode: u32) {
        self.put(path, Entry { node: Node::Directory, mode, owner: 0 });
    }

    pub fn file(&mut self, path: &[u8], mode: u32, size: u64, source: Source) {
        self.put(path, Entry { node: Node::File { size, source }, mode, owner: 0 });
    }

    pub fn text(&mut self, path: &str, mode: u32, text: &str) {
        let bytes = text.as_bytes().to_vec();
        self.file(path.as_bytes(), mode, bytes.len() as u64, Source::Bytes(bytes));
    }

    pub fn symlink(&mut self, path: &[u8], target: &[u8]) {
        self.put(path, Entry { node: Node::Symlink(target.to_vec()), mode: 0o777, owner: 0 });
    }

    pub fn hard_link(&mut self, path: &[u8], target: &[u8], mode: u32) {
        self.put(path, Entry { node: Node::HardLink(target.to_vec()), mode, owner: 0 });
    }

    pub fn whiteout(&mut self, path: &[u8]) {
        self.put(path, Entry { node: Node::Whiteout, mode: 0, owner: 0 });
    }

    pub fn opaque(&mut self, path: &[u8]) {
        self.entries.insert([path, b"/.wh..wh..opq"].concat(), Entry { node: Node::Opaque, mode: 0, owner: 0 });
    }

    /// Adds or replaces an entry.
    pub fn put(&mut self, path: &[u8], entry: Entry) {
        let name = if matches!(entry.node, Node::Directory) { [path, b"/"].concat() } else { path.to_vec() };
        self.entries.insert(name, entry);
    }

    /// Whether the path is taken, by whatever.
    pub fn contains(&self, path: &[u8]) -> bool {
        self.entries.contains_key(path) || self.entries.contains_key(&[path, b"/"].concat())
    }

    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get(path).or_else(|| self.entries.get(&[path, b"/"].concat()))
    }

    /// Paths and entries in the tar's order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.strip_suffix(b"/").unwrap_or(name), entry))
    }

    /// Adds the directories above all entries, with the attributes they have in `below`: a layer tar tells of the
    /// directories whose content it changes.
    pub fn add_parents(&mut self, below: &Self) {
        let mut missing = BTreeSet::new();
        for (path, _) in self.iter() {
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            missing.extend(slashes.map(|(at, _)| path[..at].to_vec()).filter(|parent| !self.contains(parent)));
        }
        for parent in missing {
            let entry = below.get(&parent).filter(|entry| matches!(entry.node, Node::Directory)).cloned();
            self.put(&parent, entry.unwrap_or(Entry { node: Node::Directory, mode: 0o755, owner: 0 }));
        }
    }

    /// Lays another layer over this one, so that this is what both show.
    pub fn lay_over(&mut self, upper: &Self) {
        for (path, entry) in upper.iter() {
            match entry.node {
                Node::Whiteout => {
                    self.entries.remove(path);
                }
                Node::Opaque => {}
                _ => self.put(path, entry.clone()),
            }
        }
    }

    /// Writes the layer into a store.
    pub fn store(&self, store: &Store) -> Result<LayerBlob> {
        let mut writer = TarWriter::new(store.blobs().create()?);
        for (path, entry) in self.iter() {
            write(&mut writer, path, entry)?;
        }
        Ok(LayerBlob::plain(writer.finish()?.commit()?))
    }
}

fn write(out: &mut TarWriter<impl Write>, path: &[u8], entry: &Entry) -> Result<()> {
    let attributes = Attributes { mode: entry.mode, uid: entry.owner, gid: entry.owner, mtime: (MTIME, 0) };
    match &entry.node {
        Node::Directory => out.directory(path, &attributes)?,
        Node::Symlink(target) => out.symlink(path, target, &attributes)?,
        Node::HardLink(target) => out.hard_link(path, target, &attributes)?,
        Node::Whiteout => out.whiteout(path)?,
        Node::Opaque => out.opaque(path.strip_suffix(b"/.wh..wh..opq").unwrap_or(path))?,
        Node::File { size, source: Source::Seed(key) } => out.file(path, &attributes, *size, &mut Content::new(key))?,
        Node::File { size, source: Source::Bytes(bytes) } => out.file(path, &attributes, *size, &mut &bytes[..])?,
        Node::File { size, source: Source::Host(host) } => {
            let mut file = File::open(host).map_err(Error::io("read", host))?;
            out.file(path, &attributes, *size, &mut file)?;
        }
    }
    Ok(())
}
