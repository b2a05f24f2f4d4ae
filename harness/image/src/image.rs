use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest, MediaType};
use serde::{Deserialize, Serialize};
use storage_driver::Bytes;
use storage_layer::Digest;

use crate::{Blob, Blobs, ChainId, Configuration, DiffId, DockerConfig, Error, Reference, Result, document, media};

/// One layer of an image as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerBlob {
    /// Of the blob as it is, compressed or not.
    pub digest: Digest,
    /// Of the uncompressed tar.
    pub diff_id: DiffId,
    /// Of the blob as it is.
    pub size: Bytes,
    /// How it is compressed, in OCI's words.
    pub media_type: MediaType,
}

impl LayerBlob {
    /// A layer that is stored uncompressed, so that its diff id is the blob's own digest.
    #[must_use]
    pub const fn plain(blob: Blob) -> Self {
        Self { digest: blob.digest, diff_id: DiffId(blob.digest), size: blob.size, media_type: MediaType::ImageLayer }
    }

    pub(crate) fn descriptor(&self) -> Result<Descriptor> {
        document::descriptor(self.media_type.clone(), &Blob { digest: self.digest, size: self.size })
    }
}

/// An image: what its manifest and its configuration say, and the names it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The digest of the configuration, which docker calls the image's id.
    pub id: Digest,
    /// The digest of the manifest.
    pub manifest_digest: Digest,
    /// The length of the manifest.
    pub manifest_size: Bytes,
    /// OCI's or docker's word for the manifest.
    pub media_type: MediaType,
    /// Which configuration and which layers.
    pub manifest: ImageManifest,
    /// How to run it, which layers in plain form, and how they came about.
    pub config: ImageConfiguration,
    /// What docker's configurations say beyond OCI's.
    pub docker: DockerConfig,
    /// The names, sorted; none for an image whose name went to another.
    pub references: Vec<Reference>,
    layers: Vec<LayerBlob>,
}

impl Image {
    /// Reads what the manifest with this digest leads to.
    pub(crate) fn load(blobs: &Blobs, manifest_digest: Digest, references: Vec<Reference>) -> Result<Self> {
        let corrupt = |digest: &Digest, why: &str| Error::Corrupt {
            path: blobs.path(digest),
            why: format!("{why}; remove the image and make it again"),
        };
        let manifest: ImageManifest = document::read(blobs, &manifest_digest, "image manifest")?;
        let config = document::described(manifest.config())
            .ok_or_else(|| corrupt(&manifest_digest, "its configuration has no SHA-256 digest"))?;
        let id = config.digest;
        let text: serde_json::Value = document::read(blobs, &id, "image configuration")?;
        let Configuration { oci: config, docker } = Configuration::from_value(text)
            .map_err(|error| corrupt(&id, &format!("it is no image configuration: {error}")))?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            return Err(corrupt(&id, "it lists another number of layers than the manifest"));
        }
        let layer = |(descriptor, diff_id): (&Descriptor, &String)| {
            let blob = document::described(descriptor)
                .ok_or_else(|| corrupt(&manifest_digest, "one of its layers has no SHA-256 digest"))?;
            let diff_id = diff_id.parse().map_err(|_| corrupt(&id, "one of its diff ids is malformed"))?;
            let media_type = media::layer(descriptor.media_type());
            Ok(LayerBlob { digest: blob.digest, diff_id, size: blob.size, media_type })
        };
        let layers = manifest.layers().iter().zip(diff_ids).map(layer).collect::<Result<_>>()?;
        let manifest_size = blobs.size(&manifest_digest)?;
        let media_type = manifest.media_type().clone().unwrap_or(MediaType::ImageManifest);
        Ok(Self { id, manifest_digest, manifest_size, media_type, manifest, config, docker, references, layers })
    }

    /// The layers, bottom first.
    #[must_use]
    pub fn layers(&self) -> &[LayerBlob] {
        &self.layers
    }

    /// The chain id of every layer, bottom first.
    #[must_use]
    pub fn chains(&self) -> Vec<ChainId> {
        ChainId::of_all(self.layers.iter().map(|layer| &layer.diff_id))
    }

    /// The chain id of the top layer; `None` for an image without layers.
    #[must_use]
    pub fn chain(&self) -> Option<ChainId> {
        self.chains().pop()
    }

    /// All layers together, as stored.
    #[must_use]
    pub fn size(&self) -> Bytes {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// The id without its algorithm, cut to the twelve digits that people are shown.
    #[must_use]
    pub fn short_id(&self) -> String {
        short(&self.id)
    }

    /// How the image came about, oldest first.
    ///
    /// Layers that the configuration's history does not account for come first, without text.
    #[must_use]
    pub fn history(&self) -> Vec<HistoryStep> {
        let recorded = self.config.history().as_deref().unwrap_or_default();
        let with_layer = recorded.iter().filter(|entry| entry.empty_layer() != Some(true)).count();
        let unaccounted = self.layers.len().saturating_sub(with_layer);
        let (silent, told) = self.layers.split_at(unaccounted);
        let mut layers = told.iter();
        let silent = silent.iter().map(|layer| HistoryStep { layer: Some(layer.clone()), ..HistoryStep::default() });
        let told = recorded.iter().map(|entry| HistoryStep {
            created: entry.created().clone(),
            created_by: entry.created_by().clone().unwrap_or_default(),
            comment: entry.comment().clone().unwrap_or_default(),
            layer: if entry.empty_layer() == Some(true) { None } else { layers.next().cloned() },
        });
        silent.chain(told).collect()
    }
}

/// One line of an image's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryStep {
    /// When, as RFC 3339 text.
    pub created: Option<String>,
    /// The instruction or command.
    pub created_by: String,
    /// Anything else.
    pub comment: String,
    /// The layer it made, unless it changed the configuration only.
    pub layer: Option<LayerBlob>,
}

impl HistoryStep {
    /// The size of its layer, zero where there is none.
    #[must_use]
    pub fn size(&self) -> Bytes {
        self.layer.as_ref().map_or(Bytes(0), |layer| layer.size)
    }
}

/// The twelve digits of a digest that people are shown.
pub(crate) fn short(digest: &Digest) -> String {
    let mut hex = digest.hex();
    hex.truncate(12);
    hex
}
