//! Where images come from, seen alike: a place that gives blobs by their digest.

use std::io::Read;

use harness_image::Blob;

use crate::Result;

/// A place that gives blobs by their digest. What it gives is not believed: [`receive`](crate::receive) checks it.
pub trait Source: Sync {
    /// Its name in messages.
    fn origin(&self) -> String;

    /// A manifest or a list of them; at most its length is read.
    fn manifest(&self, blob: &Blob) -> Result<Vec<u8>>;

    /// The bytes of a blob, from `start` on where that is possible.
    fn open(&self, blob: &Blob, start: u64) -> Result<Stream>;

    /// How often a blob is asked for again when it stops coming.
    fn retries(&self) -> u32 {
        0
    }

    /// How many blobs may be asked for at once.
    fn parallel(&self) -> usize {
        2
    }
}

/// A blob on its way.
pub struct Stream {
    /// With which byte it starts.
    pub start: u64,
    /// The bytes.
    pub body: Box<dyn Read + Send>,
}
