use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use oci_spec::image::{ImageManifestBuilder, MediaType};
use storage_driver::LayerId;
use storage_root::Durability;

use crate::{
    Blobs, Cache, ChainId, Configuration, Error, Image, LayerBlob, Lease, Reference, Result, document, durable,
    index::Index, layers::Hints, lock::IndexLock, media,
};

const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}\n";
pub(crate) const MANIFEST_SCHEMA_VERSION: u32 = 2;

/// Images on disk: an OCI image layout (image-spec, image-layout.md) that other tools can read.
///
/// ```text
/// <root>/oci-layout          that it is one; written last, so that it says: complete
/// <root>/index.json          images and their names
/// <root>/blobs/sha256/<hex>  layers, manifests and configurations
/// <root>/cache/<hex>.json    what build steps made (not part of the layout)
/// <root>/chains/<driver>/    which layer of a driver was last seen to hold a chain: hints (not part of the layout)
/// <root>/tmp/                what is being written
/// <root>/partial/<hex>       blobs that are being received, for whoever goes on with them
/// <root>/lock                held (flock) while the index is replaced
/// <root>/lease               held shared by who relies on blobs that no image names, exclusively to delete any
/// ```
///
/// Any number of processes may use a store at once. Readers take no lock. What is written is on disk before what
/// names it is, and every file is replaced as a whole, so a crash leaves at most blobs that nothing names, which
/// [`gc`](Self::gc) takes away.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    blobs: Blobs,
    durability: Durability,
}

impl Store {
    /// Opens a store, and makes it where there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a directory that holds something else or is damaged; what the file system says.
    pub fn open(root: &Path) -> Result<Arc<Self>> {
        Self::open_with(root, Durability::Sync)
    }

    /// As [`open`](Self::open), and says whether what is written is made durable.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(root: &Path, durability: Durability) -> Result<Arc<Self>> {
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        let root = fs::canonicalize(root).map_err(Error::io("open", root))?;
        let blobs = Blobs::open(&root, durability)?;
        let store = Self { root, blobs, durability };
        store.complete()?;
        store.clean()?;
        Ok(Arc::new(store))
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether what is written is made durable.
    #[must_use]
    pub const fn durability(&self) -> Durability {
        self.durability
    }

    /// The content.
    #[must_use]
    pub const fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// What build steps made.
    #[must_use]
    pub const fn cache(&self) -> Cache<'_> {
        Cache::new(self)
    }

    /// Keeps all blobs where they are until it is dropped; see [`Lease`]. Waits while another process deletes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn lease(&self) -> Result<Lease> {
        Lease::shared(&self.root)
    }

    /// The layer in which a driver was last seen to have a chain; whether it still does, only the driver knows.
    #[must_use]
    pub fn hinted_layer(&self, driver: &str, chain: &ChainId) -> Option<LayerId> {
        Hints::of(self, driver).get(chain)
    }

    /// All images, in the order of their names, those without a name last.
    ///
    /// A damaged one is left out and logged; [`verify`](Self::verify) says what is wrong with it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the index; what the file system says.
    pub fn list(&self) -> Result<Vec<Image>> {
        let index = self.index()?;
        let mut images = Vec::new();
        for digest in index.manifests() {
            match Image::load(&self.blobs, digest, index.names(&digest)) {
                Ok(image) => images.push(image),
                Err(error) => tracing::warn!(%digest, %error, "an image is left out of the list"),
            }
        }
        Ok(images)
    }

    /// Makes an image of a configuration and the layers it runs on, bottom first; it has no name yet.
    ///
    /// The configuration's diff ids are replaced by those of the layers. Making the same image again gives the
    /// same one.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] for a layer; [`Error::InvalidImage`] when the history has another number of layers.
    pub fn put_image(&self, config: impl Into<Configuration>, layers: Vec<LayerBlob>) -> Result<Image> {
        self.put_tagged(config, layers, &[])
    }

    /// As [`put_image`](Self::put_image), and names it, all in one step.
    ///
    /// A name that another image had goes over to the new one.
    ///
    /// # Errors
    /// As [`put_image`](Self::put_image); [`Error::InvalidName`] for a name without a tag.
    #[allow(clippy::needless_pass_by_value)] // The layers become part of the image.
    pub fn put_tagged(
        &self,
        config: impl Into<Configuration>,
        layers: Vec<LayerBlob>,
        names: &[Reference],
    ) -> Result<Image> {
        names.iter().try_for_each(check_name)?;
        let mut config = config.into();
        let lease = self.lease()?;
        for layer in &layers {
            self.expect_size(layer)?;
        }
        check_history(&config.oci, layers.len())?;
        config.oci.rootfs_mut().set_diff_ids(layers.iter().map(|layer| layer.diff_id.to_string()).collect());
        let config_blob = self.blobs.put(&document::to_json(&config.to_value()?)?)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(MANIFEST_SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(document::descriptor(MediaType::ImageConfig, &config_blob)?)
            .layers(layers.iter().map(LayerBlob::descriptor).collect::<Result<Vec<_>>>()?)
            .build()
            .map_err(|error| Error::InvalidImage { why: error.to_string() })?;
        let manifest_blob = self.blobs.put(&document::to_json(&manifest)?)?;
        let descriptor = document::descriptor(MediaType::ImageManifest, &manifest_blob)?;
        let image = self.enter(descriptor, manifest_blob.digest, names);
        drop(lease);
        image
    }

    /// Gives an image one more name, taking it from the image that had it.
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve); [`Error::InvalidName`] for a name without a tag.
    pub fn tag(&self, image: &str, name: &Reference) -> Result<()> {
        check_name(name)?;
        self.change_index(|index| {
            let located = self.locate(index, image)?;
            index.tag(&located.manifest, name);
            Ok(())
        })
    }

    /// The chains of all images. Unlike [`list`](Self::list) this fails on a damaged one, so that its layers are
    /// not taken for unused.
    pub(crate) fn chains(&self) -> Result<BTreeSet<ChainId>> {
        let mut chains = BTreeSet::new();
        for entry in self.index()?.entries().iter().filter(|entry| media::is_manifest(&entry.media_type)) {
            chains.extend(Image::load(&self.blobs, entry.digest, Vec::new())?.chains());
        }
        Ok(chains)
    }

    pub(crate) fn index(&self) -> Result<Index> {
        Index::read(&self.root)
    }

    /// Reads, changes and replaces the index while no other process does.
    pub(crate) fn change_index<T>(&self, change: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        let _held = IndexLock::take(&self.root)?;
        let before = self.index()?;
        let mut index = before.clone();
        let answer = change(&mut index)?;
        if index != before {
            index.write(self.blobs.tmp(), self.durability)?;
        }
        Ok(answer)
    }

    /// Makes what a layout consists of, the file that says so last.
    fn complete(&self) -> Result<()> {
        let path = self.root.join(LAYOUT_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => return check_layout(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", path)(error)),
        }
        let _held = IndexLock::take(&self.root)?;
        Index::create(&self.root, self.blobs.tmp(), self.durability)?;
        durable::sync_directory(&self.root.join("blobs"), self.durability)?;
        durable::replace(&path, LAYOUT.as_bytes(), self.blobs.tmp(), self.durability)
    }

    /// Takes away what killed writers left, unless somebody is writing just now.
    fn clean(&self) -> Result<()> {
        if self.blobs.has_temporaries()?
            && let Some(_held) = Lease::exclusive(&self.root)?
        {
            let removed = self.blobs.clean()?;
            tracing::debug!(removed, root = %self.root.display(), "took away unfinished blobs");
        }
        Ok(())
    }
}

fn check_layout(path: &Path, text: &str) -> Result<()> {
    let corrupt = |why| Err(Error::Corrupt { path: path.to_owned(), why });
    let Ok(layout) = serde_json::from_str::<oci_spec::image::OciLayout>(text) else {
        return corrupt("it does not say which version of the image layout this is; restore it from a backup".into());
    };
    let version = layout.image_layout_version();
    if version.split('.').next() == Some("1") {
        return Ok(());
    }
    corrupt(format!("image layout version {version} is not known here, only 1.x is; choose another --root"))
}

/// A digest belongs to a manifest already; only tags can be given.
pub(crate) fn check_name(name: &Reference) -> Result<()> {
    if name.tag().is_some() && name.digest().is_none() {
        return Ok(());
    }
    Err(Error::InvalidName { name: name.to_string(), why: "an image can be given a name with a tag, not a digest" })
}

fn check_history(config: &oci_spec::image::ImageConfiguration, layers: usize) -> Result<()> {
    let Some(history) = config.history().as_ref().filter(|history| !history.is_empty()) else { return Ok(()) };
    let told = history.iter().filter(|entry| entry.empty_layer() != Some(true)).count();
    if told == layers {
        return Ok(());
    }
    Err(Error::InvalidImage { why: format!("its history tells of {told} layers, and it has {layers}") })
}
