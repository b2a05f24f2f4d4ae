//! Archives of images: what `docker save` writes, old and new, and tars of OCI image layouts.

mod docker;
mod stage;
mod write;

use std::io::{self, Read};

use harness_image::{Blob, Blobs, Image, Reference, Store};

use self::stage::Staged;
pub use self::write::{Form, descriptor, parts, save, save_as};
use crate::{
    Error, Result, Watch, index,
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
    cleaned(store, load_wanted(store, input, origin, None, watch))
}

/// As [`load`], one image alone: the one called `wanted`, or the only one there is. It is given `names`.
///
/// # Errors
/// As [`load`]; [`Error::NotFound`].
pub fn load_one(
    store: &Store,
    input: impl Read + Send,
    origin: &str,
    wanted: Option<&str>,
    names: &[Reference],
    watch: &dyn Watch,
) -> Result<Image> {
    let loaded = cleaned(store, load_wanted(store, input, origin, Some((wanted, names)), watch))?;
    loaded.into_iter().next().map(|loaded| loaded.image).ok_or_else(|| Error::refused(origin, "it holds no image"))
}

/// One image instead of all: its name in the archive, and those that it gets.
type Wanted<'a> = Option<(Option<&'a str>, &'a [Reference])>;

fn load_wanted(
    store: &Store,
    input: impl Read + Send,
    origin: &str,
    wanted: Wanted<'_>,
    watch: &dyn Watch,
) -> Result<Vec<Loaded>> {
    let _held = store.lease()?;
    let staged = Staged::read(store.blobs(), input, origin)?;
    if let (Some(index), true) = (staged.document("index.json"), staged.document("oci-layout").is_some()) {
        let source = Archive { blobs: store.blobs(), staged: &staged, origin };
        return index::receive_all(store, &source, index, wanted, watch);
    }
    match staged.document("manifest.json") {
        Some(manifest) => docker::load(store, &staged, manifest, origin, wanted),
        None => {
            let why = "it has neither manifest.json nor index.json with oci-layout; is it the archive of an image? \
                       For the tar of a root file system there is `import`";
            Err(Error::refused(origin, why))
        }
    }
}

/// Takes away what a failed load left in the store, unless somebody else is at work there.
fn cleaned<T>(store: &Store, answer: Result<T>) -> Result<T> {
    if answer.is_err()
        && let Err(error) = store.gc(&[])
    {
        tracing::warn!(%error, "what was read of an archive stays in the store until `harness gc`");
    }
    answer
}

/// An archive that was read into the store.
struct Archive<'a> {
    blobs: &'a Blobs,
    staged: &'a Staged,
    origin: &'a str,
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

    /// Blobs are in the store by their digests already; one that is asked for here has another length there, or is
    /// missing.
    fn open(&self, blob: &Blob, _start: u64) -> Result<Stream> {
        let file = self.staged.blob(&blob.digest).filter(|file| file.blob == *blob).ok_or_else(|| {
            Error::refused(self.origin, format!("blob {} with {} bytes is not in it", blob.digest, blob.size.get()))
        })?;
        let body = self.blobs.open_blob(&file.blob.digest)?;
        Ok(Stream { start: 0, body: Box::new(io::BufReader::new(body)) })
    }
}
