//! An image's layers onto a storage driver, while they come.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use harness_image::{Blob, ChainId, LayerBlob, Layers, Received};
use storage_driver::Bytes;

use crate::{Done, Error, Result, Watch, fetch::fetch, layer::Known, receive::Receiver, room, source::Source};

/// Blobs that wait, each as an open file, for being put into the store: a sync of one would make the next layer wait.
const WAITING: usize = 16;

impl<'a> Receiver<'a> {
    /// Fetches, checks and lays out all layers of an image, bottom first. A plain one that is not in the store yet is read once,
    /// for the store and for the driver.
    pub(crate) fn lay_out(
        &self,
        layers: &'a Layers,
        source: &dyn Source,
        wanted: &[LayerBlob],
        known: &Known,
    ) -> Result<()> {
        let (mut below, mut received) = (None, VecDeque::<Received<'a>>::new());
        for layer in wanted {
            // One that comes again is in the store by then.
            while received.len() > WAITING || received.iter().any(|waiting| waiting.digest() == layer.digest) {
                received.pop_front().map_or(Ok(()), |first| self.keep(first))?;
            }
            received.extend(self.lay_out_one(layers, source, below.as_ref(), layer, known)?);
            below = Some(ChainId::on(below.as_ref(), &layer.diff_id));
        }
        received.into_iter().try_for_each(|waiting| self.keep(waiting))
    }

    fn keep(&self, received: Received<'_>) -> Result<()> {
        let digest = received.digest();
        received.keep()?;
        self.watch.done(&digest, Done::Moved);
        Ok(())
    }

    fn lay_out_one(
        &self,
        layers: &'a Layers,
        source: &dyn Source,
        below: Option<&ChainId>,
        layer: &LayerBlob,
        known: &Known,
    ) -> Result<Option<Received<'a>>> {
        let (origin, blobs) = (source.origin(), self.store.blobs());
        let blob = Blob { digest: layer.digest, size: layer.size };
        let chain = ChainId::on(below, &layer.diff_id);
        let failed = |source| match source {
            harness_image::Error::WrongContent { .. } => Error::refused(&*origin, source.to_string()),
            source => Error::Layer { origin: origin.clone(), digest: layer.digest, source: Box::new(source) },
        };
        let is_there = blobs.size(&blob.digest).is_ok_and(|size| size == blob.size);
        let is_plain = layer.digest == layer.diff_id.0;
        if !is_there && is_plain && layers.layer_of(&chain)?.is_none() {
            room::check(blobs, &origin, &format!("blob {}", blob.digest), blob.size.get())?;
            let mut content = Watched { body: source.open(&blob, 0)?.body, watch: self.watch };
            self.watch.begin(&blob.digest, blob.size);
            let received = layers.receive(below, layer, &mut content).map_err(failed)?;
            self.laid_out(chain);
            return Ok(received);
        }
        fetch(blobs, source, &blob, self.watch)?;
        known.check(blobs, &origin, &layer.digest, layer.diff_id)?;
        if layers.layer_of(&chain)?.is_none() {
            layers.ensure_on(below, layer).map_err(failed)?;
            self.laid_out(chain);
        }
        Ok(None)
    }
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
