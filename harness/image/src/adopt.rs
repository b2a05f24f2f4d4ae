//! Images that were made elsewhere: their documents are kept byte for byte, and with them their digests.

use oci_spec::image::{Descriptor, ImageManifestBuilder, MediaType};
use storage_layer::Digest;

use crate::{
    Blob, Error, Image, LayerBlob, Reference, Result, Store, document, media,
    store::{MANIFEST_SCHEMA_VERSION, check_name},
};

impl Store {
    /// Takes over an image by its manifest, whose blobs are in the store, and names it, all in one step.
    ///
    /// `media_type` is OCI's or docker's for an image manifest. A name that another image had goes over to this one.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] and [`Error::Corrupt`] for blobs that are not what the manifest says;
    /// [`Error::InvalidName`] for a name without a tag; [`Error::Unsupported`] for another media type.
    pub fn adopt(&self, manifest: &[u8], media_type: &MediaType, names: &[Reference]) -> Result<Image> {
        names.iter().try_for_each(check_name)?;
        if !media::is_manifest(media_type) {
            let image = names.first().map_or_else(|| Digest::of(manifest).to_string(), ToString::to_string);
            return Err(Error::Unsupported { image, what: format!("the media type {media_type}") });
        }
        let _held = self.lease()?;
        let blob = self.blobs().put(manifest)?;
        let image = Image::load(self.blobs(), blob.digest, Vec::new())?;
        for layer in image.layers() {
            self.expect_size(layer)?;
        }
        self.enter(document::descriptor(media_type.clone(), &blob)?, blob.digest, names)
    }

    /// As [`adopt`](Self::adopt), for an image that comes with a configuration and no manifest of OCI's form.
    ///
    /// # Errors
    /// As [`adopt`](Self::adopt); [`Error::Corrupt`] when the configuration lists other diff ids than the layers have.
    pub fn adopt_config(&self, config: &Blob, layers: &[LayerBlob], names: &[Reference]) -> Result<Image> {
        let manifest = ImageManifestBuilder::default()
            .schema_version(MANIFEST_SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(document::descriptor(MediaType::ImageConfig, config)?)
            .layers(layers.iter().map(LayerBlob::descriptor).collect::<Result<Vec<_>>>()?)
            .build()
            .map_err(|error| Error::InvalidImage { why: error.to_string() })?;
        self.adopt(&document::to_json(&manifest)?, &MediaType::ImageManifest, names)
    }

    /// Puts a manifest into the index, and reads the image that it leads to; the caller holds a lease.
    pub(crate) fn enter(&self, descriptor: Descriptor, manifest: Digest, names: &[Reference]) -> Result<Image> {
        let index = self.change_index(|index| {
            index.add(descriptor);
            for name in names {
                index.tag(&manifest, name);
            }
            Ok(index.clone())
        })?;
        Image::load(self.blobs(), manifest, index.names(&manifest))
    }

    pub(crate) fn expect_size(&self, layer: &LayerBlob) -> Result<()> {
        let found = self.blobs().size(&layer.digest)?;
        if found == layer.size {
            return Ok(());
        }
        let why = format!("it has {} bytes, not {}; delete it and make it again", found.get(), layer.size.get());
        Err(Error::Corrupt { path: self.blobs().path(&layer.digest), why })
    }
}
