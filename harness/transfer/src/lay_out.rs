//! An image's layers onto a storage driver, while they come.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use harness_image::{Blob, ChainId, LayerBlob, Layers, Received};
use storage_driver::Bytes;

use crate::{Done, Error, Result, Watch, fetch::fetch, layer::Known, room, source::Source};

/// Blobs that wait, each as an open file, for being put into the store: a sync of one would make the next layer wait.
const WAITING: usize = 16;

/// Fetches, checks and lays out all layers of an image, bottom first. What is not in the store yet is read once, for the store
/// and for the driver.
pub fn lay_out(
    layers: &Layers,
    source: &dyn Source,
    wanted: &[LayerBlob],
    known: &Known,
    watch: &dyn Watch,
) -> Result<()> {
    let (mut below, mut received) = (None, VecDeque::new());
    for layer in wanted {
        received.extend(one(layers, source, below.as_ref(), layer, known, watch)?);
        below = Some(ChainId::on(below.as_ref(), &layer.diff_id));
        if received.len() > WAITING {
            received.pop_front().map_or(Ok(()), Received::keep)?;
        }
    }
    received.into_iter().try_for_each(|received| Ok(received.keep()?))
}

fn one<'l>(
    layers: &'l Layers,
    source: &dyn Source,
    below: Option<&ChainId>,
    layer: &LayerBlob,
    known: &Known,
    watch: &dyn Watch,
) -> Result<Option<Received<'l>>> {
    let (origin, blobs) = (source.origin(), layers.store().blobs());
    let blob = Blob { digest: layer.digest, size: layer.size };
    let is_there = || blobs.size(&blob.digest).is_ok_and(|size| size == blob.size);
    if !is_there() {
        room::check(blobs, &origin, &format!("blob {}", blob.digest), blob.size.get())?;
        let mut content = Watched { body: source.open(&blob, 0)?.body, watch };
        watch.begin(&blob.digest, blob.size);
        let failed = |source| match source {
            harness_image::Error::WrongContent { .. } => Error::refused(&*origin, source.to_string()),
            source => Error::Layer { origin: origin.clone(), digest: layer.digest, source: Box::new(source) },
        };
        if let Some(received) = layers.receive(below, layer, &mut content).map_err(failed)? {
            watch.done(&blob.digest, Done::Moved);
            return Ok(Some(received));
        }
    }
    fetch(blobs, source, &blob, watch)?;
    known.check(blobs, &origin, &layer.digest, layer.diff_id)?;
    layers.ensure_on(below, layer)?;
    Ok(None)
}

/// Tells how much was read.
struct Watched<'a> {
    body: Box<dyn Read + Send>,
    watch: &'a dyn Watch,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.watch.moved(Bytes(count as u64));
        Ok(count)
    }
}
