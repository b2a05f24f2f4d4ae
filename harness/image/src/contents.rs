//! What each layer of an image holds, and how much of it no container ever sees.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    /// What became of the bytes that it was the first to write under their name, where a later layer has them no more.
    pub ends: Vec<End>,
    /// What it wrote although the layers below had the very same bytes, which the layer with this index was the first to write: only
    /// attributes can differ.
    pub same_bytes: BTreeMap<usize, Tally>,
    wasted: Bytes,
}

impl LayerContents {
    /// The bytes that it wrote and a later layer overwrote or deleted: they are shipped with the image, and nobody sees them.
    #[must_use]
    pub const fn wasted(&self) -> Bytes {
        self.wasted
    }
}

/// What one later layer did, in one way, to what an earlier one was the first to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The later layer's index.
    pub by: usize,
    /// What it did.
    pub fate: Fate,
    /// How much that is.
    pub tally: Tally,
}

/// What a later layer did to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Other bytes were written in their place.
    Overwritten,
    /// They have another name there: the same bytes, shipped twice.
    Moved,
    /// They are gone.
    Deleted,
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

/// What a layer does to a name.
#[derive(Clone, Copy)]
enum Hiding {
    Deleted,
    /// Writes something else there.
    Other,
    /// Writes the very same bytes there.
    Same,
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
    /// The layer that was the first to write these bytes under this name.
    origin: usize,
    name: Vec<u8>,
    content: Option<(Bytes, Digest)>,
    names: u32,
}

#[derive(Default)]
struct Found {
    contents: LayerContents,
    ends: BTreeMap<(usize, Fate), Tally>,
    /// The contents of its files.
    written: BTreeSet<Digest>,
}

impl Found {
    fn finish(self) -> LayerContents {
        let ends = self.ends.into_iter().map(|((by, fate), tally)| End { by, fate, tally });
        LayerContents { ends: ends.collect(), ..self.contents }
    }
}

impl Merged {
    fn add(&mut self, entries: Vec<Entry>) {
        let written = entries.iter().filter_map(|entry| match &entry.what {
            What::File(size, digest) if *size > Bytes(0) => Some(*digest),
            _ => None,
        });
        self.layers.push(Found { written: written.collect(), ..Found::default() });
        for entry in &entries {
            match entry.what {
                What::Whiteout => self.hide(&entry.name, Hiding::Deleted),
                What::Opaque => self.hide_below(&entry.name, Hiding::Deleted),
                _ => {}
            }
        }
        for Entry { name, what } in entries {
            match what {
                What::Whiteout | What::Opaque => {}
                What::Directory => self.hide_name(&name, Hiding::Other),
                What::Link(target) => {
                    let inode = self.names.get(&target).copied();
                    self.hide(&name, Hiding::Other);
                    if let Some(inode) = inode {
                        self.inodes[inode].names += 1;
                        self.names.insert(name, inode);
                    }
                }
                What::Other => {
                    self.hide(&name, Hiding::Other);
                    self.insert(name, None, self.current());
                }
                What::File(size, digest) => self.file(name, size, digest),
            }
        }
    }

    fn file(&mut self, name: Vec<u8>, size: Bytes, digest: Digest) {
        self.hide_below(&name, Hiding::Other);
        let before = self.names.get(&name).map(|inode| &self.inodes[*inode]);
        let is_same = |inode: &&Inode| size > Bytes(0) && inode.content.as_ref().is_some_and(|(_, d)| *d == digest);
        let current = self.current();
        let same = before.filter(is_same).map(|inode| inode.origin);
        self.hide_name(&name, if same.is_some() { Hiding::Same } else { Hiding::Other });
        if let Some(origin) = same.filter(|origin| *origin != current) {
            self.layers[current].contents.same_bytes.entry(origin).or_default().add(&name, size);
        }
        self.layers[current].contents.files.insert(name.clone(), size);
        self.insert(name, Some((size, digest)), same.unwrap_or(current));
    }

    const fn current(&self) -> usize {
        self.layers.len() - 1
    }

    fn insert(&mut self, name: Vec<u8>, content: Option<(Bytes, Digest)>, origin: usize) {
        self.names.insert(name.clone(), self.inodes.len());
        let layer = self.current();
        self.inodes.push(Inode { layer, origin, name, content, names: 1 });
    }

    fn hide(&mut self, name: &[u8], hiding: Hiding) {
        self.hide_name(name, hiding);
        self.hide_below(name, hiding);
    }

    fn hide_below(&mut self, directory: &[u8], hiding: Hiding) {
        let first = if directory.is_empty() { Vec::new() } else { [directory, b"/"].concat() };
        let below = self.names.range(first.clone()..).map(|(name, _)| name);
        let below: Vec<_> = below.take_while(|name| name.starts_with(&first)).cloned().collect();
        for name in below {
            self.hide_name(&name, hiding);
        }
    }

    /// One name goes; the content with its last name.
    fn hide_name(&mut self, name: &[u8], hiding: Hiding) {
        let Some(inode) = self.names.remove(name) else { return };
        let current = self.current();
        let inode = &mut self.inodes[inode];
        inode.names -= 1;
        if inode.names > 0 {
            return;
        }
        let Some((size, digest)) = &inode.content else { return };
        self.layers[inode.layer].contents.wasted += *size;
        let fate = match hiding {
            // The same bytes are what they were.
            Hiding::Same => return,
            Hiding::Deleted if self.layers[current].written.contains(digest) => Fate::Moved,
            Hiding::Deleted => Fate::Deleted,
            Hiding::Other => Fate::Overwritten,
        };
        self.layers[inode.origin].ends.entry((current, fate)).or_default().add(&inode.name, *size);
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
        let ends: Vec<_> = found[0].ends.iter().map(|end| (end.by, end.fate, end.tally.bytes.0)).collect();
        assert_eq!(ends, [(1, Fate::Overwritten, 5), (2, Fate::Deleted, 7)]);
        assert_eq!(found[0].ends[1].tally.largest, b"d/b");
        assert_eq!(found[0].files.len(), 3);
    }

    #[test]
    fn the_same_bytes_again_are_told_with_the_layer_that_had_them() {
        let found = found(&[&|tar| file(tar, "f", b"same"), &|tar| file(tar, "f", b"same")]);
        assert_eq!(found[1].same_bytes[&0].bytes, Bytes(4));
        assert_eq!((found[0].wasted(), found[0].ends.len()), (Bytes(4), 0));
    }

    #[test]
    fn the_same_bytes_are_told_of_the_layer_that_wrote_them_first_however_often_they_were_written_since() {
        let same = |tar: &mut Tar| file(tar, "f", b"same");
        let found = found(&[&same, &same, &same, &|tar| tar.whiteout(b"f").unwrap()]);
        assert_eq!(found[2].same_bytes.keys().copied().collect::<Vec<_>>(), [0]);
        assert_eq!((found[0].ends[0].by, found[0].ends[0].fate), (3, Fate::Deleted));
        assert!(found[1].ends.is_empty() && found[2].ends.is_empty(), "{found:?}");
        assert_eq!(found.iter().map(|layer| layer.wasted().0).collect::<Vec<_>>(), [4, 4, 4, 0]);
    }

    #[test]
    fn what_has_another_name_in_the_layer_that_deletes_it_was_moved() {
        let found = found(&[
            &|tar| {
                file(tar, "d/a", b"12345");
                file(tar, "d/b", b"123");
            },
            &|tar| {
                tar.whiteout(b"d").unwrap();
                file(tar, "e/a", b"12345");
            },
        ]);
        let ends: Vec<_> = found[0].ends.iter().map(|end| (end.fate, end.tally.bytes.0)).collect();
        assert_eq!(ends, [(Fate::Moved, 5), (Fate::Deleted, 3)]);
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
        assert_eq!(found[0].ends[0].fate, Fate::Deleted);
    }

    #[test]
    fn a_file_where_a_directory_was_hides_all_of_it() {
        let found = found(&[&|tar| file(tar, "d/e/f", b"12"), &|tar| file(tar, "d", b"1")]);
        assert_eq!((found[0].wasted(), found[0].ends[0].fate), (Bytes(2), Fate::Overwritten));
    }
}
