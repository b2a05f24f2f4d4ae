//! Layers that are laid out while their blobs come.

use std::io::{self, Read, Write};

use storage_driver::{ApplyStats, LayerId};
use storage_layer::{Compression, Digest};

use super::{Layers, chains::Claim};
use crate::{
    BlobWriter, Blobs, ChainId, Error, LayerBlob, Result,
    blob_writer::{FinishedBlob, UnhashedBlob},
    blobs::mismatch,
};

/// The blob of a layer that was laid out, on its way into the store.
#[derive(Debug)]
pub struct Received<'a>(FinishedBlob<'a>);

impl Received<'_> {
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
    /// from one reading of `content`, which is hashed once unless it is compressed.
    ///
    /// `None` when the chain's layer is there already; nothing was read then.
    ///
    /// # Errors
    /// [`Error::WrongContent`] for another digest, length or diff id than the image says; those of the driver and of the
    /// store. There is neither layer nor blob then.
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
        let arriving = Arriving::new(self.store.blobs(), layer, content)?;
        let (_, blob) = self.make(making, below.as_ref(), |id| self.lay_out(id, layer, arriving))?;
        Ok(Some(Received(blob)))
    }

    fn lay_out<'a>(&self, id: &LayerId, layer: &LayerBlob, arriving: Arriving<'_, 'a>) -> Result<FinishedBlob<'a>> {
        let mut arriving = arriving;
        // A blob may be longer than what its tar's reader asks for.
        let applied = self.driver.apply(id, &mut arriving).map_err(Error::from);
        let applied = applied.and_then(|stats| {
            io::copy(&mut arriving, &mut io::sink()).map_err(Error::io("read", layer.digest.to_string()))?;
            Ok(stats)
        });
        match (arriving.failed.take(), applied) {
            (Some(source), _) => Err(Error::io("write a blob to", arriving.blobs.tmp())(source)),
            (None, Err(error)) => Err(error),
            (None, Ok(stats)) => arriving.finish(layer, &stats),
        }
    }
}

/// Content that is kept as a blob while it is read.
struct Arriving<'c, 'a> {
    blobs: &'a Blobs,
    content: &'c mut (dyn Read + Send),
    kept: Kept<'a>,
    /// How it begins.
    head: Vec<u8>,
    /// Why it could not be kept.
    failed: Option<io::Error>,
}

enum Kept<'a> {
    /// Whoever lays a plain tar out hashes it.
    Plain(UnhashedBlob<'a>),
    Compressed(BlobWriter<'a>),
}

impl<'c, 'a> Arriving<'c, 'a> {
    fn new(blobs: &'a Blobs, layer: &LayerBlob, content: &'c mut (dyn Read + Send)) -> Result<Self> {
        let is_plain = layer.digest == layer.diff_id.0;
        let kept = if is_plain { Kept::Plain(blobs.create_unhashed()?) } else { Kept::Compressed(blobs.create()?) };
        Ok(Self { blobs, content, kept, head: Vec::with_capacity(Compression::MAGIC_LEN), failed: None })
    }

    /// The blob, if it is what the image says.
    fn finish(self, layer: &LayerBlob, stats: &ApplyStats) -> Result<FinishedBlob<'a>> {
        let wrong = |why| Error::WrongContent { digest: layer.digest, why };
        let unpacked = Digest::from_bytes(stats.diff_id);
        let finished = match self.kept {
            // The digest of what was unpacked is that of the blob only if there was nothing to unpack.
            Kept::Plain(_) if Compression::of(&self.head) != Compression::None => {
                return Err(wrong("it is compressed, and the image says that it is not".into()));
            }
            Kept::Plain(blob) => blob.finish(unpacked),
            Kept::Compressed(blob) => blob.finish()?,
        };
        if finished.blob.digest != layer.digest {
            return Err(wrong(mismatch(&finished.blob.digest)));
        }
        if finished.blob.size != layer.size {
            return Err(wrong(format!("it has {} bytes, not {}", finished.blob.size.get(), layer.size.get())));
        }
        if unpacked != layer.diff_id.0 {
            return Err(wrong(format!("it unpacks to {unpacked}, and the image says to {}", layer.diff_id)));
        }
        Ok(finished)
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let missing = Compression::MAGIC_LEN - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        match &mut self.kept {
            Kept::Plain(blob) => blob.write_all(bytes),
            Kept::Compressed(blob) => blob.write_all(bytes),
        }
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
