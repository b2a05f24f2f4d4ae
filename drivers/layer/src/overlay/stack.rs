use std::{
    collections::BTreeSet,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use super::{XattrNamespace, marks};
use crate::{
    Error, Result,
    node::Node,
    source::{Source, entries_in, join},
};

/// Layers on top of each other, seen as overlayfs would show them, without a mount.
///
/// With no namespace it is one plain tree, in which a 0:0 character device is just that.
#[derive(Debug)]
pub(crate) struct Stack {
    /// Topmost first.
    layers: Vec<Source>,
    namespace: Option<XattrNamespace>,
}

/// The layers that make up one directory, topmost first: every one of them has a real directory at its path, and
/// all of the path's parents too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    layer: usize,
    marks: marks::DirMarks,
}

impl Place {
    /// The place of a directory below which nothing lies.
    pub const fn nowhere() -> Self {
        Self { members: Vec::new() }
    }

    pub const fn is_nowhere(&self) -> bool {
        self.members.is_empty()
    }
}

/// What a stack shows at a path.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The layer that it comes from; of a directory, the topmost one, which gives its attributes.
    pub layer: usize,
    pub node: Node,
    /// Of a directory; nowhere for anything else.
    pub place: Place,
}

impl Stack {
    /// Nothing at all.
    pub const fn empty() -> Self {
        Self { layers: Vec::new(), namespace: None }
    }

    pub fn plain(root: &Path) -> Result<Self> {
        Ok(Self { layers: vec![Source::open(root)?], namespace: None })
    }

    pub fn overlay(roots: &[PathBuf], namespace: XattrNamespace) -> Result<Self> {
        let layers = roots.iter().map(|root| Source::open(root)).collect::<Result<_>>()?;
        Ok(Self { layers, namespace: Some(namespace) })
    }

    pub fn layer(&self, index: usize) -> &Source {
        &self.layers[index]
    }

    /// The root directory; `None` for an empty stack.
    pub fn root(&self) -> Result<Option<Shown>> {
        let Some(top) = self.layers.first() else { return Ok(None) };
        let Some(node) = top.node(b"")? else { return Ok(None) };
        let mut place = Place::nowhere();
        for layer in 0..self.layers.len() {
            let marks = self.directory_marks(layer, b"")?;
            place.members.push(Member { layer, marks });
        }
        Ok(Some(Shown { layer: 0, node, place }))
    }

    fn directory_marks(&self, layer: usize, path: &[u8]) -> Result<marks::DirMarks> {
        let Some(namespace) = self.namespace else { return Ok(marks::DirMarks::default()) };
        let source = &self.layers[layer];
        let names = source.xattr_names(path)?;
        marks::of_directory(source, path, &names, namespace)
    }

    /// What shows as `name` in the directory `dir`, which is at `place`.
    ///
    /// overlayfs looks down layer by layer: the first file it meets hides the rest, directories are merged until
    /// one is opaque or something else is in the way, and a whiteout ends the search.
    pub fn find(&self, place: &Place, dir: &[u8], name: &[u8]) -> Result<Option<Shown>> {
        if place.is_nowhere() {
            return Ok(None);
        }
        let path = join(dir, name);
        let mut found: Option<Shown> = None;
        for member in &place.members {
            let source = &self.layers[member.layer];
            let Some(node) = source.node(&path)? else { continue };
            if let Some(namespace) = self.namespace
                && marks::is_whiteout(source, &path, &node, member.marks, namespace)?
            {
                break;
            }
            if !node.is_dir() {
                return Ok(found.or(Some(Shown { layer: member.layer, node, place: Place::nowhere() })));
            }
            let marks = self.directory_marks(member.layer, &path)?;
            let shown = found.get_or_insert(Shown { layer: member.layer, node, place: Place::nowhere() });
            shown.place.members.push(Member { layer: member.layer, marks });
            if marks.opaque {
                break;
            }
        }
        Ok(found)
    }

    /// What shows at `path`, looked up from the root.
    pub fn find_path(&self, path: &[u8]) -> Result<Option<Shown>> {
        let Some(mut at) = self.root()? else { return Ok(None) };
        let mut done: Vec<u8> = Vec::new();
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            let Some(next) = self.find(&at.place, &done, name)? else { return Ok(None) };
            done = join(&done, name);
            at = next;
        }
        Ok(Some(at))
    }

    /// All that shows in the directory `dir`, which is at `place`, by name.
    pub fn list(&self, place: &Place, dir: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut names = BTreeSet::new();
        for member in &place.members {
            names.extend(marks::names(&self.layers[member.layer], dir)?);
        }
        if self.namespace.is_none() {
            return Ok(names.into_iter().collect());
        }
        let mut shown = Vec::with_capacity(names.len());
        for name in names {
            if self.find(place, dir, &name)?.is_some() {
                shown.push(name);
            }
        }
        Ok(shown)
    }

    /// All names in the directory `dir` of one plain tree, each with its inode number; none where `place` is nowhere.
    pub fn entries(&self, place: &Place, dir: &[u8]) -> Result<Vec<(Vec<u8>, u64)>> {
        let Some(member) = place.members.first() else { return Ok(Vec::new()) };
        let source = &self.layers[member.layer];
        let open = source.directory(dir)?;
        entries_in(open.as_fd()).map_err(Error::io("list", source.full(dir)))
    }

    /// Refuses a file of these layers whose data is not in it.
    pub fn check_data(&self, shown: &Shown, path: &[u8]) -> Result<()> {
        let names = self.layers[shown.layer].xattr_names(path)?;
        self.check_file(path, &names)
    }

    /// The same, from the names of its xattrs.
    pub fn check_file(&self, path: &[u8], names: &[Vec<u8>]) -> Result<()> {
        self.namespace.map_or(Ok(()), |namespace| marks::check_file(path, names, namespace))
    }

    /// All names of the inode of `shown` within its own layer, whether they show or not. Reads that whole layer.
    pub fn names_of(&self, shown: &Shown) -> Result<Vec<Vec<u8>>> {
        let source = &self.layers[shown.layer];
        let mut found = Vec::new();
        let mut directories = vec![Vec::new()];
        while let Some(dir) = directories.pop() {
            for name in marks::names(source, &dir)? {
                let path = join(&dir, &name);
                match source.node(&path)? {
                    Some(node) if node.is_dir() => directories.push(path),
                    Some(node) if node.inode == shown.node.inode => found.push(path),
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}
