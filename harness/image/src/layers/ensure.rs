use storage_driver::{CreateOptions, Labels, LayerId};
use storage_layer::Digest;

use super::{
    CHAIN_LABEL, Layers,
    chains::{Claim, Making},
    random_id,
};
use crate::{ChainId, Error, Image, LayerBlob, Result};

impl Layers {
    /// Makes the layers of an image that the driver does not have yet, and returns the topmost; `None` for an
    /// image without layers.
    ///
    /// Each is made from its blob, checked against its diff id, and sealed, bottom first. Several threads that
    /// ask for the same layers make each once.
    ///
    /// # Errors
    /// [`Error::MissingBlob`]; [`Error::Corrupt`] for a blob that is not what the image says; those of the driver.
    /// Layers made until then stay.
    pub fn ensure(&self, image: &Image) -> Result<Option<LayerId>> {
        let chains = image.chains();
        let Some(top) = chains.last() else { return Ok(None) };
        if let Some(layer) = self.layer_of(top)? {
            return Ok(Some(layer));
        }
        let _held = self.store.lease()?;
        let mut below = None;
        for (layer, chain) in image.layers().iter().zip(chains) {
            below = Some(self.ensure_one(layer, chain, below.as_ref())?);
        }
        Ok(below)
    }

    /// Makes the layer of a blob on top of a chain unless it is there: how a container's changes become an image
    /// layer while the container keeps its own.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure); [`Error::InvalidImage`] when the parent chain is not there.
    pub fn ensure_on(&self, parent: Option<&ChainId>, layer: &LayerBlob) -> Result<(ChainId, LayerId)> {
        let below = self.below(parent)?;
        let chain = ChainId::on(parent, &layer.diff_id);
        let _held = self.store.lease()?;
        Ok((chain, self.ensure_one(layer, chain, below.as_ref())?))
    }

    fn ensure_one(&self, layer: &LayerBlob, chain: ChainId, parent: Option<&LayerId>) -> Result<LayerId> {
        if let Some(known) = self.layer_of(&chain)? {
            return Ok(known);
        }
        let making = match self.chains.claim(chain) {
            Claim::Known(layer) => return Ok(layer),
            Claim::Make(making) => making,
        };
        let mut tar = self.store.blobs().open_blob(&layer.digest)?;
        let (id, ()) = self.make(making, parent, |id| {
            let stats = self.driver.apply(id, &mut tar)?;
            self.expect(layer, Digest::from_bytes(stats.diff_id))
        })?;
        Ok(id)
    }

    /// The layer of the chain that another one is to stand on.
    pub(super) fn below(&self, parent: Option<&ChainId>) -> Result<Option<LayerId>> {
        let Some(parent) = parent else { return Ok(None) };
        let missing = || Error::InvalidImage { why: format!("the layer below it, chain {parent}, is not there") };
        self.layer_of(parent)?.ok_or_else(missing).map(Some)
    }

    /// Makes a chain's layer: a new one that is filled and sealed, or none.
    pub(super) fn make<T>(
        &self,
        making: Making<'_>,
        parent: Option<&LayerId>,
        fill: impl FnOnce(&LayerId) -> Result<T>,
    ) -> Result<(LayerId, T)> {
        let (id, chain) = (random_id()?, making.chain());
        let labels = Labels::from([(CHAIN_LABEL.to_owned(), chain.to_string())]);
        self.driver.create(&id, parent, &CreateOptions { labels, scratch: true, ..CreateOptions::default() })?;
        let made = fill(&id).and_then(|filled| {
            self.seal(&id)?;
            Ok(filled)
        });
        let filled = made.inspect_err(|_| self.drop_failed(&id))?;
        making.done(id.clone());
        self.hints.give(&chain, &id);
        Ok((id, filled))
    }

    fn expect(&self, layer: &LayerBlob, found: Digest) -> Result<()> {
        if found == layer.diff_id.0 {
            return Ok(());
        }
        Err(Error::Corrupt {
            path: self.store.blobs().path(&layer.digest),
            why: format!(
                "its content has the diff id {found}, and the image says {}; remove the image and make it again",
                layer.diff_id
            ),
        })
    }

    /// The first failure is the one that is reported; what stays here goes with the next opening.
    fn drop_failed(&self, id: &LayerId) {
        if let Err(error) = self.driver.remove(id) {
            tracing::warn!(layer = %id, %error, "a layer that could not be made could not be removed either");
        }
    }
}
