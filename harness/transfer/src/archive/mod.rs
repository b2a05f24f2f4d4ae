//! Archives of images: what `docker save` writes, old and new, and tars of OCI image layouts.

mod docker;
mod stage;
mod within;
mod write;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
};

use harness_image::{Blob, Blobs, Digest, Image, Layers, Reference, Store};

use self::stage::{Content, Place, Staged};
pub use self::write::{Form, descriptor, parts, save, save_as};
use crate::{
    Error, Result, Watch, index,
    receive::Receiver,
    source::{Source, Stream},
};

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// The names that it got from where it came.
    pub names: Vec<Reference>,
}

/// Loads all images of an archive: a tar, plain or compressed with gzip or zstd, in docker's form or OCI's.
///
/// Where an archive has both forms OCI's is read: it keeps the digests of the manifests. The archive is read once, as
/// a stream; nothing in it becomes a path. What it says of content is checked: digests, lengths, and what layers unpack
/// to. When that fails no image is made, and what was read of it is taken away again.
///
/// # Errors
/// [`Error::Archive`], [`Error::Read`] and [`Error::Refused`] name the entry that is wrong; what the store says.
pub fn load(store: &Store, input: impl Read + Send, origin: &str, watch: &dyn Watch) -> Result<Vec<Loaded>> {
    let receiver = Receiver::new(store, watch);
    cleaned(&receiver, || {
        let staged = Staged::read(store.blobs(), input, origin)?;
        load_wanted(&receiver, &staged, origin, None)
    })
}

/// As [`load`], from a file, and onto a driver if one is given.
///
/// Of a plain tar in a regular file the documents are read first. So each plain layer is read once, for the store and for the
/// driver, and layers without a driver come side by side. Anything else is read as a stream.
///
/// # Errors
/// As [`load`]; [`Error::Layer`] when a layer cannot be laid out.
pub fn load_file(
    store: &Store,
    layers: Option<&Layers>,
    file: &fs::File,
    origin: &str,
    watch: &dyn Watch,
) -> Result<Vec<Loaded>> {
    let receiver = Receiver::onto(store, layers, watch);
    cleaned(&receiver, || load_wanted(&receiver, &staged(store, file, origin)?, origin, None))
}

/// As [`load_file`], one image alone: the one called `wanted`, or the only one there is. It is given `names`.
///
/// # Errors
/// As [`load_file`]; [`Error::NotFound`].
pub fn load_one(
    receiver: &Receiver<'_>,
    file: &fs::File,
    origin: &str,
    wanted: Option<&str>,
    names: &[Reference],
) -> Result<Image> {
    let wanted = Some((wanted, names));
    let loaded = cleaned(receiver, || load_wanted(receiver, &staged(receiver.store, file, origin)?, origin, wanted))?;
    loaded.into_iter().next().map(|loaded| loaded.image).ok_or_else(|| Error::refused(origin, "it holds no image"))
}

fn staged(store: &Store, file: &fs::File, origin: &str) -> Result<Staged> {
    match Staged::find_out(file, origin)? {
        Some(staged) => Ok(staged),
        None => Staged::read(store.blobs(), file, origin),
    }
}

/// One image instead of all: its name in the archive, and those that it gets.
type Wanted<'a> = Option<(Option<&'a str>, &'a [Reference])>;

fn load_wanted(receiver: &Receiver<'_>, staged: &Staged, origin: &str, wanted: Wanted<'_>) -> Result<Vec<Loaded>> {
    let archive = Archive::new(receiver.store.blobs(), staged, origin);
    if let (Some(index), true) = (staged.document("index.json"), staged.document("oci-layout").is_some()) {
        return index::receive_all(receiver, &archive, index, wanted);
    }
    match staged.document("manifest.json") {
        Some(manifest) => docker::load(receiver, archive, manifest, wanted),
        None => {
            let why = "it has neither manifest.json nor index.json with oci-layout; is it the archive of an image? \
                       For the tar of a root file system there is `import`";
            Err(Error::refused(origin, why))
        }
    }
}

/// Loads, and takes away what a load that fails left on the driver, and in the store unless somebody else is at work there.
fn cleaned<T>(receiver: &Receiver<'_>, load: impl FnOnce() -> Result<T>) -> Result<T> {
    let answer = {
        let _held = receiver.store.lease()?;
        load()
    };
    if answer.is_err() {
        if let Err(error) = receiver.give_up() {
            tracing::warn!(%error, "what was laid out of an archive stays on the driver until `harness gc`");
        }
        if let Err(error) = receiver.store.gc(&[]) {
            tracing::warn!(%error, "what was read of an archive stays in the store until `harness gc`");
        }
    }
    answer
}

/// An archive as a place that gives blobs.
struct Archive<'a> {
    blobs: &'a Blobs,
    staged: &'a Staged,
    origin: &'a str,
    /// Layers that the archive does not name by their digests.
    layers: BTreeMap<Digest, Content>,
    /// What was read into the store, by where in the archive it begins.
    stored: BTreeMap<u64, Blob>,
}

impl<'a> Archive<'a> {
    const fn new(blobs: &'a Blobs, staged: &'a Staged, origin: &'a str) -> Self {
        Self { blobs, staged, origin, layers: BTreeMap::new(), stored: BTreeMap::new() }
    }
}

impl Archive<'_> {
    /// The blob of the store with this content, which is put there once where it is not yet.
    fn stored(&mut self, content: &Content, name: &str) -> Result<Blob> {
        let within = match &content.place {
            Place::Store(digest) => return Ok(Blob { digest: *digest, size: content.size }),
            Place::Archive(within) => within,
        };
        if let Some(blob) = self.stored.get(&within.start()) {
            return Ok(*blob);
        }
        let (blob, _) = stage::store(self.blobs, within.size(), None, &mut within.clone(), self.origin, name)?;
        self.stored.insert(within.start(), blob);
        Ok(blob)
    }
}

impl Source for Archive<'_> {
    fn origin(&self) -> String {
        self.origin.to_owned()
    }

    fn manifest(&self, blob: &Blob) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut stream = self.open(blob, 0)?;
        stream
            .body
            .by_ref()
            .take(blob.size.get() + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { origin: self.origin(), source })?;
        Ok(bytes)
    }

    /// What was staged is in the store by its digest; what is asked for here has another length there, or is missing.
    fn open(&self, blob: &Blob, start: u64) -> Result<Stream> {
        let content = self.layers.get(&blob.digest).or_else(|| self.staged.blob(&blob.digest));
        let content = content.filter(|content| content.size == blob.size).ok_or_else(|| {
            Error::refused(self.origin, format!("blob {} with {} bytes is not in it", blob.digest, blob.size.get()))
        })?;
        match &content.place {
            Place::Store(digest) => {
                let body = self.blobs.open_blob(digest)?;
                Ok(Stream { start: 0, body: Box::new(io::BufReader::new(body)) })
            }
            Place::Archive(within) => Ok(Stream { start, body: Box::new(within.from(start)) }),
        }
    }
}
