//! Media types: docker's stand for the same things as OCI's (image-spec, media-types.md, "Compatibility Matrix").

use oci_spec::image::MediaType;

/// docker's word for an image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// docker's word for an image index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Whether this is the manifest of one image.
#[must_use]
pub fn is_manifest(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageManifest || media_type.as_ref() == DOCKER_MANIFEST
}

/// Whether this is a list of manifests.
#[must_use]
pub fn is_index(media_type: &MediaType) -> bool {
    *media_type == MediaType::ImageIndex || media_type.as_ref() == DOCKER_LIST
}

/// A layer's media type in OCI's words. Layers that must not be distributed are layers like others here.
#[must_use]
pub fn layer(media_type: &MediaType) -> MediaType {
    match media_type.as_ref() {
        "application/vnd.docker.image.rootfs.diff.tar" => MediaType::ImageLayer,
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => MediaType::ImageLayerGzip,
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => MediaType::ImageLayerZstd,
        _ => media_type.clone(),
    }
}
