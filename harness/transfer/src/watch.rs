use harness_image::Digest;
use storage_driver::Bytes;

/// Is told how far a transfer is, by several threads.
pub trait Watch: Sync {
    /// A blob is about to be moved.
    fn begin(&self, _blob: &Digest, _size: Bytes) {}

    /// So many bytes more were moved.
    fn moved(&self, _count: Bytes) {}

    /// A blob is where it belongs.
    fn done(&self, _blob: &Digest, _how: Done) {}
}

/// How a blob came to be where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was there before.
    Present,
    /// It was moved.
    Moved,
    /// The registry took it from another of its repositories.
    Mounted,
}

/// Nobody is told.
impl Watch for () {}
