//! The JSON documents of an image: manifest and configuration.

use oci_spec::image::{Descriptor, MediaType};
use serde::{Serialize, de::DeserializeOwned};
use storage_driver::Bytes;
use storage_layer::Digest;

use crate::{Blob, Blobs, Error, Result};

/// A value as JSON with sorted keys: the same value gives the same bytes, and so the same digest, although
/// some fields are hash maps.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let invalid = |error: serde_json::Error| Error::InvalidImage { why: error.to_string() };
    let mut value = serde_json::to_value(value).map_err(invalid)?;
    value.sort_all_objects();
    serde_json::to_vec(&value).map_err(invalid)
}

/// Reads a document and checks its digest; `what` it is appears in messages.
pub fn read<T: DeserializeOwned>(blobs: &Blobs, digest: &Digest, what: &str) -> Result<T> {
    let bytes = blobs.read(digest)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Corrupt {
        path: blobs.path(digest),
        why: format!("it is no {what}: {error}; remove the image that names it and make it again"),
    })
}

/// A descriptor of a blob.
pub fn descriptor(media_type: MediaType, blob: &Blob) -> Result<Descriptor> {
    let digest: oci_spec::image::Digest =
        blob.digest.to_string().parse().map_err(|_| Error::InvalidImage { why: format!("digest {}", blob.digest) })?;
    Ok(Descriptor::new(media_type, blob.size.get(), digest))
}

/// The blob that a descriptor names; only SHA-256 is known here.
pub fn described(descriptor: &Descriptor) -> Option<Blob> {
    let digest = descriptor.digest().to_string().parse().ok()?;
    Some(Blob { digest, size: Bytes(descriptor.size()) })
}
