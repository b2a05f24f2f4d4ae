//! Whether a layer is what the configuration says it is.

use std::{
    collections::HashSet,
    io::{self, BufReader},
};

use harness_image::{Blobs, DiffId, Digest, Store};
use oci_spec::image::MediaType;
use storage_layer::{Compression, DigestReader, check, decompress};

use crate::{Error, Result, room};

const BUFFER: usize = 256 << 10;

/// Which plain tars are known to be in which blobs: what images of the store say was checked when they came.
#[derive(Debug)]
pub struct Known(HashSet<(Digest, DiffId)>);

impl Known {
    /// Reads the store's images.
    pub fn of(store: &Store) -> Result<Self> {
        let images = store.list()?;
        let layers = images.iter().flat_map(harness_image::Image::layers);
        Ok(Self(layers.map(|layer| (layer.digest, layer.diff_id)).collect()))
    }

    /// Unpacks a blob of the store, and compares.
    ///
    /// # Errors
    /// [`Error::DiffId`]; [`Error::Archive`] for what is no tar, or one beyond the limits of a layer.
    pub fn check(&self, blobs: &Blobs, origin: &str, digest: &Digest, wanted: DiffId) -> Result<()> {
        // A plain tar's own digest was checked on the way.
        if *digest == wanted.0 || self.0.contains(&(*digest, wanted)) {
            return Ok(());
        }
        let read = |source: io::Error| Error::Read { origin: origin.to_owned(), source };
        let plain = decompress(blobs.open_blob(digest)?).map_err(read)?;
        let mut reader = BufReader::with_capacity(BUFFER, DigestReader::new(plain));
        check(&mut reader, &room::layer_limits(blobs)?)
            .map_err(|source| Error::Archive { origin: format!("layer {digest} of {origin}"), source })?;
        io::copy(&mut reader, &mut io::sink()).map_err(read)?;
        let (_, found, _) = reader.into_inner().finish();
        if found == wanted.0 {
            return Ok(());
        }
        Err(Error::DiffId { origin: origin.to_owned(), digest: *digest, found, wanted: wanted.0 })
    }
}

/// OCI's word for a layer that is compressed so.
pub const fn media_type(compression: Compression) -> MediaType {
    match compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    }
}
