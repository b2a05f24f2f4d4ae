use std::{
    thread,
    time::{Duration, Instant},
};

use storage_driver::{DiffStats, LayerId, Usage};

use super::{CHAIN_LABEL, Layers, PURPOSE_LABEL, chains::Claim};
use crate::{BlobWriter, ChainId, LayerBlob, Result};

/// A writable layer that became an image layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The sealed layer with this content: the one that was committed, or an older one with the same chain.
    pub layer: LayerId,
    /// Its chain id.
    pub chain: ChainId,
    /// Its tar in the store.
    pub blob: LayerBlob,
    /// What the export saw.
    pub stats: DiffStats,
    /// What it takes beyond its parent.
    pub usage: Usage,
    /// Where the time went.
    pub times: CommitTimes,
}

/// Where the time of a commit went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitTimes {
    /// Finding the changes and writing the tar, hashed on the way.
    pub diff: Duration,
    /// Asking the driver what the layer takes.
    pub usage: Duration,
    /// Making the blob and the layer durable, side by side, and sealing the layer.
    pub seal: Duration,
}

impl Layers {
    /// Makes an image layer of a writable layer: exports it into the store and seals it.
    ///
    /// The layer is not mounted. When the driver has the same chain already, that layer is used and this one is
    /// removed. Blob and layer are durable when this returns.
    ///
    /// # Errors
    /// Those of the driver and of the store. The layer is then still there and writable.
    pub fn commit(&self, id: &LayerId, parent: Option<&ChainId>) -> Result<Committed> {
        let _held = self.store.lease()?;
        let started = Instant::now();
        let (writer, stats) = self.write_diff(id)?;
        let diff = started.elapsed();
        let usage = self.driver.usage(id)?;
        let examined = started.elapsed();
        let finished = writer.finish()?;
        let blob = LayerBlob::plain(finished.blob);
        let chain = ChainId::on(parent, &blob.diff_id);
        // A sealed layer without its blob does no harm, nor does a blob without its layer: each names itself. So
        // neither waits for the other to be on disk.
        let layer = thread::scope(|scope| {
            let stored = scope.spawn(|| finished.publish());
            let layer = self.seal_as(id, chain);
            match stored.join() {
                Ok(stored) => stored.and(layer),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })?;
        let seal = started.elapsed().saturating_sub(examined);
        let times = CommitTimes { diff, usage: examined.saturating_sub(diff), seal };
        Ok(Committed { layer, chain, blob, stats, usage, times })
    }

    /// Exports a layer's changes into the store and leaves the layer as it is, mounted or not.
    ///
    /// # Errors
    /// Those of the driver and of the store.
    pub fn export(&self, id: &LayerId) -> Result<(LayerBlob, DiffStats)> {
        let (writer, stats) = self.write_diff(id)?;
        Ok((LayerBlob::plain(writer.commit()?), stats))
    }

    fn write_diff(&self, id: &LayerId) -> Result<(BlobWriter<'_>, DiffStats)> {
        let mut writer = self.store.blobs().create()?;
        let stats = self.driver.diff(id, &mut writer)?;
        Ok((writer, stats))
    }

    /// Seals the layer under its chain id, or gives it up for the layer that has it.
    fn seal_as(&self, id: &LayerId, chain: ChainId) -> Result<LayerId> {
        self.layer_of(&chain)?;
        let making = match self.chains.claim(chain) {
            Claim::Known(layer) => {
                self.driver.remove(id)?;
                return Ok(layer);
            }
            Claim::Make(making) => making,
        };
        let mut labels = self.driver.stat(id)?.labels;
        labels.remove(PURPOSE_LABEL);
        labels.insert(CHAIN_LABEL.to_owned(), chain.to_string());
        self.driver.set_labels(id, &labels)?;
        self.seal(id)?;
        making.done(id.clone());
        self.hints.give(&chain, id);
        Ok(id.clone())
    }
}
