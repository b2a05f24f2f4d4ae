//! Layers that are laid out while their blobs come.

use std::io::{self, Read, Write};

use storage_driver::{ApplyStats, LayerId};
use storage_layer::{Compression, Digest};

use super::{Layers, chains::Claim};
use crate::{
    ChainId, Error, LayerBlob, Result,
    blob_writer::{FinishedBlob, UnhashedBlob},
    blobs::mismatch,
};

/// The blob of a layer that was laid out, on its way into the store.
#[derive(Debug)]
pub struct Received<'a>(FinishedBlob<'a>);

impl Received<'_> {
    /// Its digest.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.0.blob.digest
    }

    /// Puts the blob into the store, where it is durable when this returns.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep(self) -> Result<()> {
        self.0.publish()
    }
}

impl Layers {
    /// Makes the layer of a blob that is not in the store yet, on top of a chain whose layer is there, and the blob, too:
    /// from one reading of `content`, which is hashed once. The layer is a plain tar: of what is compressed nobody knows how
    /// large it is before it was unpacked.
    ///
    /// `None` when the chain's layer is there already; nothing was read then.
    ///
    /// # Errors
    /// [`Error::WrongContent`] for another digest or length than the image says, and for what is compressed; those of the driver
    /// and of the store. There is neither layer nor blob then.
    pub fn receive(
        &self,
        parent: Option<&ChainId>,
        layer: &LayerBlob,
        content: &mut (dyn Read + Send),
    ) -> Result<Option<Received<'_>>> {
        let chain = ChainId::on(parent, &layer.diff_id);
        let below = self.below(parent)?;
        if self.layer_of(&chain)?.is_some() {
            return Ok(None);
        }
        let Claim::Make(making) = self.chains.claim(chain) else { return Ok(None) };
        let blob = self.store.blobs().create_unhashed()?;
        let arriving = Arriving { content, blob, head: Vec::with_capacity(Compression::MAGIC_LEN), failed: None };
        let (_, blob) = self.make(making, below.as_ref(), |id| self.lay_out(id, layer, arriving))?;
        Ok(Some(Received(blob)))
    }

    fn lay_out<'a>(&self, id: &LayerId, layer: &LayerBlob, arriving: Arriving<'_, 'a>) -> Result<FinishedBlob<'a>> {
        let mut arriving = arriving;
        let applied = self.driver.apply(id, &mut arriving);
        match (arriving.failed.take(), applied) {
            (Some(source), _) => Err(Error::io("write a blob to", self.store.blobs().tmp())(source)),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(stats)) => arriving.finish(layer, &stats),
        }
    }
}

/// A plain tar that is kept as a blob while it is laid out. Whoever does that hashes it.
struct Arriving<'c, 'a> {
    content: &'c mut (dyn Read + Send),
    blob: UnhashedBlob<'a>,
    /// How it begins.
    head: Vec<u8>,
    /// Why it could not be kept.
    failed: Option<io::Error>,
}

impl<'a> Arriving<'_, 'a> {
    /// The blob, if it is what the image says.
    fn finish(self, layer: &LayerBlob, stats: &ApplyStats) -> Result<FinishedBlob<'a>> {
        let wrong = |why| Error::WrongContent { digest: layer.digest, why };
        // The digest of what was unpacked is that of the blob only if there was nothing to unpack, and all of it was.
        if Compression::of(&self.head) != Compression::None {
            return Err(wrong("it is compressed, and the image says that it is not".into()));
        }
        let finished = self.blob.finish(Digest::from_bytes(stats.diff_id));
        if finished.blob.size != stats.size {
            return Err(wrong("it went on behind its end".into()));
        }
        if finished.blob.digest != layer.digest {
            return Err(wrong(mismatch(&finished.blob.digest)));
        }
        if finished.blob.size != layer.size {
            return Err(wrong(format!("it has {} bytes, not {}", finished.blob.size.get(), layer.size.get())));
        }
        Ok(finished)
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let missing = Compression::MAGIC_LEN - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        self.blob.write_all(bytes)
    }
}

impl Read for Arriving<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        if let Err(error) = self.keep(&buffer[..count]) {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        Ok(count)
    }
}
