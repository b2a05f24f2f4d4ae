//! Which layers the driver has.

use std::sync::PoisonError;

use storage_driver::{LayerId, LayerInfo, LayerState, StorageDriver};

use super::{CHAIN_LABEL, Layers, PURPOSE_LABEL, Purpose};
use crate::{ChainId, Result};

impl Layers {
    /// The sealed layer that holds a chain, when there is one.
    ///
    /// Where a hint leads to it, this costs the same however many layers there are.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn layer_of(&self, chain: &ChainId) -> Result<Option<LayerId>> {
        if let Some(layer) = self.chains.get(chain) {
            return Ok(Some(layer));
        }
        if let Some(layer) = self.hinted(chain)? {
            self.chains.learn(*chain, layer);
            return Ok(self.chains.get(chain));
        }
        self.list()?;
        let found = self.chains.get(chain);
        if let Some(layer) = &found {
            self.hints.give(chain, layer);
        }
        Ok(found)
    }

    /// Where the hint leads, if that is the chain's layer.
    fn hinted(&self, chain: &ChainId) -> Result<Option<LayerId>> {
        let Some(layer) = self.hints.get(chain) else { return Ok(None) };
        let holds = match self.driver.stat(&layer) {
            Ok(info) => info.state == LayerState::Sealed && chain_of(&info) == Some(*chain),
            Err(storage_driver::Error::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if !holds {
            self.hints.forget(chain);
        }
        Ok(holds.then_some(layer))
    }

    /// Takes over all that the driver has, once: from then on what is made and removed is known without asking.
    pub(super) fn list(&self) -> Result<()> {
        let mut listed = self.chains.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if *listed {
            return Ok(());
        }
        for layer in self.driver.list()?.into_iter().rev() {
            if let Some(chain) = chain_of(&layer).filter(|_| layer.state == LayerState::Sealed) {
                self.chains.learn(chain, layer.id);
            }
        }
        *listed = true;
        Ok(())
    }
}

/// Removes the layers that a process was making which is no more: one process at a time has the driver's root, so when it is
/// opened nobody makes them any longer.
///
/// # Errors
/// When the driver cannot list its layers.
pub fn remove_unfinished(driver: &dyn StorageDriver) -> Result<Vec<LayerId>> {
    let mut removed = Vec::new();
    // Parents come before their children, and one that was sealed and not settled when its process was killed may have some.
    for layer in driver.list()?.into_iter().rev().filter(is_unfinished) {
        match driver.remove(&layer.id) {
            Ok(()) => removed.push(layer.id),
            Err(error) => tracing::warn!(layer = %layer.id, %error, "an unfinished layer could not be removed"),
        }
    }
    Ok(removed)
}

pub fn chain_of(layer: &LayerInfo) -> Option<ChainId> {
    layer.labels.get(CHAIN_LABEL)?.parse().ok()
}

fn is_unfinished(layer: &LayerInfo) -> bool {
    let for_build = layer.labels.get(PURPOSE_LABEL).is_some_and(|purpose| purpose == Purpose::Build.as_str());
    layer.state == LayerState::Writable && (for_build || layer.labels.contains_key(CHAIN_LABEL))
}
