use std::{
    collections::{HashMap, HashSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use storage_driver::LayerId;

use crate::ChainId;

/// Which layer holds which chain, and which chains are being made just now.
#[derive(Debug, Default)]
pub struct Chains {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether all chains of the driver are among them; held while they are listed.
    pub listed: Mutex<bool>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<ChainId, LayerId>,
    busy: HashSet<ChainId>,
}

/// What asking for a chain gives.
pub enum Claim<'a> {
    /// It is there.
    Known(LayerId),
    /// The caller makes it; others who ask for it wait meanwhile.
    Make(Making<'a>),
}

/// The right to make a chain; given back when dropped.
pub struct Making<'a> {
    chains: &'a Chains,
    chain: ChainId,
}

impl Chains {
    pub fn get(&self, chain: &ChainId) -> Option<LayerId> {
        self.state().known.get(chain).cloned()
    }

    /// Takes over what the driver has; the first layer with a chain is the one that is used.
    pub fn learn(&self, chain: ChainId, layer: LayerId) {
        self.state().known.entry(chain).or_insert(layer);
    }

    /// The chain's layer, or the right to make it. Waits while somebody else is at it.
    pub fn claim(&self, chain: ChainId) -> Claim<'_> {
        let mut state = self.wait(&chain);
        if let Some(layer) = state.known.get(&chain) {
            return Claim::Known(layer.clone());
        }
        state.busy.insert(chain);
        Claim::Make(Making { chains: self, chain })
    }

    /// Runs `remove`, and forgets the chain if it succeeds; whoever asks for it waits meanwhile.
    pub fn forget_while<E>(
        &self,
        chain: &ChainId,
        layer: &LayerId,
        remove: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.wait(chain).busy.insert(*chain);
        let making = Making { chains: self, chain: *chain };
        remove()?;
        let mut state = self.state();
        if state.known.get(chain) == Some(layer) {
            state.known.remove(chain);
        }
        drop(state);
        drop(making);
        Ok(())
    }

    fn wait(&self, chain: &ChainId) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(self.state(), |state| state.busy.contains(chain))
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The table is consistent between statements, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Making<'_> {
    /// The chain.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The chain is there now.
    pub fn done(self, layer: LayerId) {
        self.chains.state().known.insert(self.chain, layer);
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.chains.state().busy.remove(&self.chain);
        self.chains.changed.notify_all();
    }
}
