//! An image from a source into the store: the manifest that runs here, then everything it names, then the name.

use std::{
    cell::{OnceCell, RefCell},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use harness_image::{Blob, ChainId, DiffId, Digest, Image, LayerBlob, Layers, Reference, Store};
use serde::Deserialize;

use crate::{
    Error, Platform, Result, Watch,
    document::{Descriptor, Document, Manifest, shown},
    fetch::fetch,
    layer::Known,
    limits,
    source::Source,
};

/// Where images go.
pub struct Receiver<'a> {
    pub store: &'a Store,
    /// Where their layers are laid out as they come, if anywhere.
    pub layers: Option<&'a Layers>,
    pub watch: &'a dyn Watch,
    /// What they are to run on, where somebody said so; this machine otherwise.
    platform: Option<Platform>,
    /// What was laid out, bottom first.
    made: RefCell<Vec<ChainId>>,
    /// Read when the first layers come.
    known: OnceCell<Known>,
}

impl<'a> Receiver<'a> {
    /// Lays nothing out.
    pub fn new(store: &'a Store, watch: &'a dyn Watch) -> Self {
        Self::onto(store, None, watch)
    }

    pub fn onto(store: &'a Store, layers: Option<&'a Layers>, watch: &'a dyn Watch) -> Self {
        Self { store, layers, watch, platform: None, made: RefCell::default(), known: OnceCell::new() }
    }

    /// Takes images for another platform than this machine's.
    pub fn of(self, platform: Option<Platform>) -> Self {
        Self { platform, ..self }
    }

    /// What images are to run on.
    pub fn wanted(&self) -> Platform {
        self.platform.clone().unwrap_or_else(Platform::host)
    }

    pub(crate) fn laid_out(&self, chain: ChainId) {
        self.made.borrow_mut().push(chain);
    }

    /// Takes what was laid out away again, but for what an image has by now.
    pub fn give_up(&self) -> Result<()> {
        let made = self.made.take();
        if let (Some(layers), false) = (self.layers, made.is_empty()) {
            layers.prune_of(&made)?;
        }
        Ok(())
    }

    fn known(&self) -> Result<&Known> {
        match self.known.get() {
            Some(known) => Ok(known),
            None => {
                let known = Known::of(self.store)?;
                Ok(self.known.get_or_init(|| known))
            }
        }
    }

    /// Takes an image over: checks everything that came against its digest and length, every layer against the
    /// configuration, and only then gives it names. Layers come side by side unless they are laid out.
    ///
    /// `bytes` is the document that was asked for, under the media type `declared`.
    pub fn receive(
        &self,
        source: &dyn Source,
        bytes: Vec<u8>,
        declared: Option<&str>,
        names: &[Reference],
    ) -> Result<Image> {
        let store = self.store;
        let _held = store.lease()?;
        let (bytes, manifest) = choose(source, bytes, declared, &self.wanted())?;
        fetch(store.blobs(), source, &manifest.config, self.watch)?;
        let configuration = store.blobs().read(&manifest.config.digest)?;
        let configured = configured(&source.origin(), &configuration)?;
        self.check_platform(&source.origin(), &configured)?;
        let diff_ids = configured.layers_of(&source.origin(), &manifest)?;
        let layer = |(layer, diff_id): (&Descriptor, DiffId)| LayerBlob {
            digest: layer.blob.digest,
            diff_id,
            size: layer.blob.size,
            media_type: layer.media_type.clone(),
        };
        let layers: Vec<_> = manifest.layers.iter().zip(diff_ids).map(layer).collect();
        self.receive_layers(source, &layers)?;
        Ok(store.adopt(&bytes, &manifest.media_type, names)?)
    }

    /// An image that is in no list is taken as what it is, unless another platform was asked for.
    fn check_platform(&self, origin: &str, configured: &Configured) -> Result<()> {
        let other = self.platform.as_ref().filter(|wanted| wanted.accepts(&configured.platform).is_none());
        other.map_or(Ok(()), |wanted| {
            let there = vec![shown(&configured.platform.to_string())];
            Err(Error::Platform { origin: origin.to_owned(), wanted: wanted.to_string(), there })
        })
    }

    /// Fetches and checks all layers of an image, bottom first, each once; the first failure ends it.
    pub fn receive_layers(&self, source: &dyn Source, layers: &[LayerBlob]) -> Result<()> {
        let known = self.known()?;
        match self.layers {
            Some(driver) => self.lay_out(driver, source, layers, known),
            None => self.fetch_layers(source, layers, known),
        }
    }

    fn fetch_layers(&self, source: &dyn Source, layers: &[LayerBlob], known: &Known) -> Result<()> {
        // In the order of the manifest, so that a pull that is killed has the lower layers first.
        let mut order: Vec<&LayerBlob> = Vec::new();
        for layer in layers {
            match order.iter().find(|before| before.digest == layer.digest) {
                Some(before) if (before.size, before.diff_id) != (layer.size, layer.diff_id) => {
                    let why = format!("layer {} is there twice and said to be two things", layer.digest);
                    return Err(Error::refused(source.origin(), why));
                }
                Some(_) => {}
                None => order.push(layer),
            }
        }
        let (blobs, watch) = (self.store.blobs(), self.watch);
        each(&order, source.parallel(), |layer| {
            fetch(blobs, source, &Blob { digest: layer.digest, size: layer.size }, watch)?;
            known.check(blobs, &source.origin(), &layer.digest, layer.diff_id)
        })
    }
}

/// Follows lists to the manifest that suits a platform best.
fn choose(
    source: &dyn Source,
    bytes: Vec<u8>,
    declared: Option<&str>,
    wanted: &Platform,
) -> Result<(Vec<u8>, Manifest)> {
    let refused = |why: String| Error::refused(source.origin(), why);
    let (mut bytes, mut declared) = (bytes, declared.map(str::to_owned));
    for _ in 0..=limits::NESTING {
        match Document::parse(&bytes, declared.as_deref()).map_err(refused)? {
            Document::Manifest(manifest) => return Ok((bytes, manifest)),
            Document::Index(entries) => {
                let entry = best(&source.origin(), &entries, wanted)?;
                bytes = read_manifest(source, &entry.blob)?;
                declared = Some(entry.media_type.to_string());
            }
        }
    }
    Err(refused(format!("its lists of manifests lead to further lists more than {} times", limits::NESTING)))
}

/// A manifest of a source, checked.
pub fn read_manifest(source: &dyn Source, blob: &Blob) -> Result<Vec<u8>> {
    let refused = |why: String| Error::refused(source.origin(), why);
    if blob.size.get() > limits::DOCUMENT {
        return Err(refused(format!("manifest {} is said to have {}", blob.digest, blob.size)));
    }
    let bytes = source.manifest(blob)?;
    let found = Digest::of(&bytes);
    if found != blob.digest || bytes.len() as u64 != blob.size.get() {
        return Err(refused(format!("what came as manifest {} has the digest {found}", blob.digest)));
    }
    Ok(bytes)
}

/// Of several that suit equally well the first is taken. One without a platform is what there is where no other is.
fn best<'a>(origin: &str, entries: &'a [Descriptor], wanted: &Platform) -> Result<&'a Descriptor> {
    let mut found: Option<(u32, &Descriptor)> = None;
    for entry in entries {
        let Some(score) = entry.platform.as_ref().and_then(|platform| wanted.accepts(platform)) else { continue };
        if found.is_none_or(|(best, _)| score > best) {
            found = Some((score, entry));
        }
    }
    let only = || entries.first().filter(|entry| entries.len() == 1 && entry.platform.is_none());
    found.map(|(_, entry)| entry).or_else(only).ok_or_else(|| {
        let platforms = entries.iter().filter_map(|entry| entry.platform.as_ref());
        let mut there: Vec<_> = platforms.take(20).map(|platform| shown(&platform.to_string())).collect();
        there.dedup();
        if there.is_empty() {
            there.push("none that names its platform".into());
        }
        Error::Platform { origin: origin.to_owned(), wanted: wanted.to_string(), there }
    })
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// What a configuration says that is known before any layer comes.
#[derive(Debug)]
pub struct Configured {
    platform: Platform,
    /// What the layers unpack to.
    diff_ids: Vec<DiffId>,
}

impl Configured {
    /// The diff ids of an image for Linux with this manifest.
    pub fn layers_of(self, origin: &str, manifest: &Manifest) -> Result<Vec<DiffId>> {
        self.layers(origin, manifest.layers.len(), "manifest")
    }

    /// The diff ids of an image for Linux which has so many layers, as another document of it says.
    pub fn layers(self, origin: &str, count: usize, document: &str) -> Result<Vec<DiffId>> {
        let os = &self.platform.os;
        if !os.is_empty() && os != "linux" {
            return Err(Error::refused(origin, format!("it is for the operating system {}", shown(os))));
        }
        let told = self.diff_ids.len();
        if told != count {
            let why = format!("its configuration tells of {told} layers, its {document} of {count}");
            return Err(Error::refused(origin, why));
        }
        Ok(self.diff_ids)
    }
}

/// Reads a configuration.
pub fn configured(origin: &str, configuration: &[u8]) -> Result<Configured> {
    let refused = |why: String| Error::refused(origin, why);
    limits::values(configuration).map_err(|why| refused(format!("its configuration is too large: {why}")))?;
    let read: Configuration = serde_json::from_slice(configuration)
        .map_err(|error| refused(format!("its configuration is malformed: {error}")))?;
    if read.rootfs.diff_ids.len() > limits::LAYERS {
        return Err(refused(format!("it has {} layers, more than {}", read.rootfs.diff_ids.len(), limits::LAYERS)));
    }
    let parse = |text: &String| text.parse().map_err(|_| refused(format!("{} is no diff id", shown(text))));
    let diff_ids = read.rootfs.diff_ids.iter().map(parse).collect::<Result<_>>()?;
    let platform = Platform { os: read.os, architecture: read.architecture, variant: read.variant };
    Ok(Configured { platform, diff_ids })
}

/// Does something with all items on a few threads, until the first failure, which is returned.
pub fn each<T: Sync>(items: &[T], threads: usize, work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let (next, stop, failure) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    let worker = || {
        while !stop.load(Ordering::Relaxed)
            && let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed))
        {
            if let Err(error) = work(item) {
                stop.store(true, Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
