//! What each layer of an image holds, and how much of it no container ever sees.

use std::{
    collections::BTreeMap,
    io::{self, BufReader},
};

use storage_driver::Bytes;
use storage_layer::{Digest, DigestWriter, Limits, MemberKind, Members, decompress};

use crate::{Error, LayerBlob, Result, Store};

/// What one layer holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerContents {
    /// Its regular files by their first names, without a slash at the beginning.
    pub files: BTreeMap<Vec<u8>, Bytes>,
    /// What it wrote and a later layer overwrote or deleted: it is shipped with the image, and nobody sees it.
    pub hidden: Vec<Hidden>,
    /// What it wrote although the layer with this index had the very same bytes: only attributes can differ.
    pub same_bytes: BTreeMap<usize, Tally>,
}

impl LayerContents {
    /// The bytes that later layers hide.
    #[must_use]
    pub fn wasted(&self) -> Bytes {
        self.hidden.iter().map(|hidden| hidden.tally.bytes).sum()
    }
}

/// What one later layer hides of an earlier one, in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The later layer's index.
    pub by: usize,
    /// It deleted the files; otherwise it wrote them again.
    pub deleted: bool,
    /// Some of the files were written again with the same bytes.
    pub same_bytes: Bytes,
    /// How much that is.
    pub tally: Tally,
}

/// A number of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub files: u64,
    /// Their content.
    pub bytes: Bytes,
    /// The largest, by name.
    pub largest: Vec<u8>,
    largest_size: Bytes,
}

impl Tally {
    fn add(&mut self, name: &[u8], size: Bytes) {
        if self.files == 0 || size > self.largest_size {
            self.largest = name.to_vec();
            self.largest_size = size;
        }
        self.files += 1;
        self.bytes += size;
    }
}

/// Reads the layers of an image, bottom up, and tells what each holds that is never seen.
///
/// Layer tars are read as OCI's image specification has them applied ("layer.md", changesets): a whiteout hides what
/// lower layers have, wherever in the tar it stands.
///
/// # Errors
/// [`Error::MissingBlob`]; [`Error::Layer`] for one that is no layer tar.
pub fn contents(store: &Store, layers: &[LayerBlob]) -> Result<Vec<LayerContents>> {
    let mut merged = Merged::default();
    for layer in layers {
        let entries = read(store, layer)?;
        merged.add(entries);
    }
    Ok(merged.layers.into_iter().map(Found::finish).collect())
}

/// One entry of a layer tar.
struct Entry {
    name: Vec<u8>,
    what: What,
}

enum What {
    File(Bytes, Digest),
    /// Another name of a file.
    Link(Vec<u8>),
    Directory,
    /// Without content: a symlink, a device.
    Other,
    Whiteout,
    Opaque,
}

fn read(store: &Store, layer: &LayerBlob) -> Result<Vec<Entry>> {
    let path = store.blobs().path(&layer.digest);
    let unreadable = |error: io::Error| Error::io("read", &path)(error);
    let tar = decompress(store.blobs().open_verified(&layer.digest)?).map_err(unreadable)?;
    let limits = Limits::default();
    let mut members = Members::new(BufReader::new(tar), &limits);
    let mut entries = Vec::new();
    while let Some(member) = members.next_member()? {
        let name = plain(&member.name);
        let (name, what) = match member.kind {
            MemberKind::File(size) => match marked(&name) {
                Some(marked) => marked,
                None => {
                    let mut hashed = DigestWriter::new(io::sink());
                    io::copy(&mut members, &mut hashed).map_err(unreadable)?;
                    (name, What::File(Bytes(size), hashed.finish().1))
                }
            },
            MemberKind::HardLink(target) => (name, What::Link(plain(&target))),
            MemberKind::Directory => (name, What::Directory),
            MemberKind::Symlink(_) | MemberKind::Other => (name, What::Other),
        };
        if !name.is_empty() || matches!(what, What::Opaque) {
            entries.push(Entry { name, what });
        }
    }
    Ok(entries)
}

/// Without the slashes and dots around it that tars may have.
fn plain(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

/// What a whiteout's name means.
fn marked(name: &[u8]) -> Option<(Vec<u8>, What)> {
    let at = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (parent, last) = name.split_at(at);
    if last == b".wh..wh..opq" {
        return Some((plain(parent), What::Opaque));
    }
    let hidden = last.strip_prefix(b".wh.")?;
    Some(([parent, hidden].concat(), What::Whiteout))
}

/// The tree that the layers so far make.
#[derive(Default)]
struct Merged {
    names: BTreeMap<Vec<u8>, usize>,
    inodes: Vec<Inode>,
    layers: Vec<Found>,
}

/// A file's content; `None` for what has none.
struct Inode {
    layer: usize,
    name: Vec<u8>,
    content: Option<(Bytes, Digest)>,
    names: u32,
}

#[derive(Default)]
struct Found {
    contents: LayerContents,
    hidden: BTreeMap<(usize, bool), (Tally, Bytes)>,
}

impl Found {
    fn finish(self) -> LayerContents {
        let hidden = self.hidden.into_iter();
        let hidden = hidden.map(|((by, deleted), (tally, same_bytes))| Hidden { by, deleted, same_bytes, tally });
        LayerContents { hidden: hidden.collect(), ..self.contents }
    }
}

impl Merged {
    fn add(&mut self, entries: Vec<Entry>) {
        self.layers.push(Found::default());
        for entry in &entries {
            match entry.what {
                What::Whiteout => self.hide(&entry.name, true),
                What::Opaque => self.hide_below(&entry.name, true),
                _ => {}
            }
        }
        for Entry { name, what } in entries {
            match what {
                What::Whiteout | What::Opaque => {}
                What::Directory => self.hide_name(&name, false, None),
                What::Link(target) => {
                    let inode = self.names.get(&target).copied();
                    self.hide(&name, false);
                    if let Some(inode) = inode {
                        self.inodes[inode].names += 1;
                        self.names.insert(name, inode);
                    }
                }
                What::Other => {
                    self.hide(&name, false);
                    self.insert(name, None);
                }
                What::File(size, digest) => self.file(name, size, digest),
            }
        }
    }

    fn file(&mut self, name: Vec<u8>, size: Bytes, digest: Digest) {
        self.hide_below(&name, false);
        let before = self.names.get(&name).map(|inode| &self.inodes[*inode]);
        let is_same = |inode: &&Inode| size > Bytes(0) && inode.content.as_ref().is_some_and(|(_, d)| *d == digest);
        let same = before.filter(is_same).map(|inode| inode.layer);
        self.hide_name(&name, false, same.map(|_| size));
        let current = self.current();
        if let Some(origin) = same.filter(|origin| *origin != current) {
            self.layers[current].contents.same_bytes.entry(origin).or_default().add(&name, size);
        }
        self.layers[current].contents.files.insert(name.clone(), size);
        self.insert(name, Some((size, digest)));
    }

    const fn current(&self) -> usize {
        self.layers.len() - 1
    }

    fn insert(&mut self, name: Vec<u8>, content: Option<(Bytes, Digest)>) {
        self.names.insert(name.clone(), self.inodes.len());
        let layer = self.current();
        self.inodes.push(Inode { layer, name, content, names: 1 });
    }

    fn hide(&mut self, name: &[u8], deleted: bool) {
        self.hide_name(name, deleted, None);
        self.hide_below(name, deleted);
    }

    fn hide_below(&mut self, directory: &[u8], deleted: bool) {
        let first = if directory.is_empty() { Vec::new() } else { [directory, b"/"].concat() };
        let below = self.names.range(first.clone()..).map(|(name, _)| name);
        let below: Vec<_> = below.take_while(|name| name.starts_with(&first)).cloned().collect();
        for name in below {
            self.hide_name(&name, deleted, None);
        }
    }

    /// One name goes; the content with its last name.
    fn hide_name(&mut self, name: &[u8], deleted: bool, same: Option<Bytes>) {
        let Some(inode) = self.names.remove(name) else { return };
        let current = self.current();
        let inode = &mut self.inodes[inode];
        inode.names -= 1;
        if inode.names > 0 {
            return;
        }
        if let Some((size, _)) = &inode.content {
            let (tally, same_bytes) = self.layers[inode.layer].hidden.entry((current, deleted)).or_default();
            tally.add(&inode.name, *size);
            *same_bytes += same.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use storage_layer::{Attributes, TarWriter};

    use super::*;

    type Tar = TarWriter<Vec<u8>>;

    fn found(layers: &[&dyn Fn(&mut Tar)]) -> Vec<LayerContents> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let put = |fill: &&dyn Fn(&mut Tar)| {
            let mut tar = TarWriter::new(Vec::new());
            fill(&mut tar);
            LayerBlob::plain(store.blobs().put(&tar.finish().unwrap()).unwrap())
        };
        contents(&store, &layers.iter().map(put).collect::<Vec<_>>()).unwrap()
    }

    fn file(tar: &mut Tar, name: &str, content: &[u8]) {
        tar.file(name.as_bytes(), &Attributes::default(), content.len() as u64, &mut &*content).unwrap();
    }

    #[test]
    fn what_a_later_layer_deletes_or_writes_again_is_wasted() {
        let found = found(&[
            &|tar| {
                file(tar, "d/a", b"12345");
                file(tar, "d/b", b"1234567");
                file(tar, "da", b"stays");
            },
            &|tar| file(tar, "d/a", b"other"),
            &|tar| tar.whiteout(b"d").unwrap(),
        ]);
        assert_eq!(found.iter().map(LayerContents::wasted).collect::<Vec<_>>(), [Bytes(12), Bytes(5), Bytes(0)]);
        let hidden: Vec<_> = found[0].hidden.iter().map(|h| (h.by, h.deleted, h.tally.bytes.0)).collect();
        assert_eq!(hidden, [(1, false, 5), (2, true, 7)]);
        assert_eq!(found[0].hidden[1].tally.largest, b"d/b");
        assert_eq!(found[0].files.len(), 3);
    }

    #[test]
    fn the_same_bytes_again_are_told_with_the_layer_that_had_them() {
        let found = found(&[&|tar| file(tar, "f", b"same"), &|tar| file(tar, "f", b"same")]);
        assert_eq!(found[1].same_bytes[&0].bytes, Bytes(4));
        assert_eq!((found[0].hidden[0].same_bytes, found[0].wasted()), (Bytes(4), Bytes(4)));
    }

    #[test]
    fn a_file_lives_as_long_as_one_of_its_names() {
        let linked = |tar: &mut Tar| {
            file(tar, "a", b"123");
            tar.hard_link(b"b", b"a", &Attributes::default()).unwrap();
        };
        let first = found(&[&linked, &|tar| tar.whiteout(b"a").unwrap()]);
        assert_eq!(first[0].wasted(), Bytes(0));
        let both = found(&[&linked, &|tar| tar.whiteout(b"a").unwrap(), &|tar| tar.whiteout(b"b").unwrap()]);
        assert_eq!(both[0].wasted(), Bytes(3));
    }

    #[test]
    fn an_opaque_directory_hides_what_is_below_and_not_what_its_own_layer_has() {
        let found = found(&[&|tar| file(tar, "d/old", b"12"), &|tar| {
            file(tar, "d/new", b"3456");
            tar.opaque(b"d").unwrap();
        }]);
        assert_eq!((found[0].wasted(), found[1].wasted()), (Bytes(2), Bytes(0)));
        assert!(found[0].hidden[0].deleted);
    }

    #[test]
    fn a_file_where_a_directory_was_hides_all_of_it() {
        let found = found(&[&|tar| file(tar, "d/e/f", b"12"), &|tar| file(tar, "d", b"1")]);
        assert_eq!((found[0].wasted(), found[0].hidden[0].deleted), (Bytes(2), false));
    }
}
