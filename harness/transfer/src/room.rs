//! Whether what is announced can be kept: what cannot is refused before its first byte is written, so that it does not take the
//! room of others first.

use harness_image::Blobs;
use storage_driver::Bytes;
use storage_layer::Limits;
use storage_sys::statfs;

use crate::{Error, Result};

/// Refuses a blob when the store's file system has no room for so many bytes of it.
pub fn check(blobs: &Blobs, origin: &str, what: &str, bytes: u64) -> Result<()> {
    let available = room(blobs)?.available;
    if bytes <= available {
        return Ok(());
    }
    let what = what.to_owned();
    Err(Error::NoRoom { origin: origin.to_owned(), what, wanted: Bytes(bytes), available: Bytes(available) })
}

/// The limits of a layer, which cannot unpack to more than the store's whole file system holds.
pub fn layer_limits(blobs: &Blobs) -> Result<Limits> {
    let most = Limits::default();
    let size = most.size.get().min(room(blobs)?.size);
    Ok(Limits { size: Bytes(size), ..most })
}

fn room(blobs: &Blobs) -> Result<statfs::Room> {
    let dir = blobs.root();
    statfs::room(dir).map_err(Error::io("examine", dir))
}
