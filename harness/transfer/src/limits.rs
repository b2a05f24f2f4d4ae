//! What is accepted from outside at most. Real images stay far below.

use storage_driver::Bytes;
use storage_layer::Limits;

/// Bytes of a manifest or of a list of them (distribution-spec, "Pushing Manifests": registries should take 4 MiB).
pub const DOCUMENT: u64 = 4 << 20;

/// Bytes of an image's configuration: what the image store reads.
pub const CONFIGURATION: u64 = 16 << 20;

/// Layers of an image; docker makes none with more than 127.
pub const LAYERS: usize = 512;

/// Manifests in a list, or images in an archive.
pub const MANIFESTS: usize = 1024;

/// Bytes of a layer as it is stored.
pub const LAYER: u64 = 1 << 40;

/// How deep lists may lead to further lists.
pub const NESTING: u32 = 4;

/// Of an archive of images: its entries stay in memory by name until the end.
pub fn archive() -> Limits {
    Limits {
        entries: 16 * 1024,
        size: Bytes(1 << 42),
        file_size: Bytes(LAYER),
        path: 512,
        extended_header: 64 << 10,
        xattrs: 64,
        sparse_segments: 16,
    }
}
