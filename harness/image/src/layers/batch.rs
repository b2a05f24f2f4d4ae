//! Layers that are made durable together.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use storage_driver::LayerId;

use super::Layers;
use crate::Result;

/// How many batches there are, and since when something waits for being made durable.
#[derive(Debug, Default)]
pub struct Batches(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: usize,
    since: Option<Instant>,
}

impl Batches {
    /// The state is consistent between statements, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as it lives, layers that are made need not be durable when the call returns that made them; they are when it is
/// settled. Blobs are at once, so that other processes can rely on those that they find in the store.
#[derive(Debug)]
pub struct Batch<'a> {
    layers: &'a Layers,
}

impl Layers {
    /// Begins to make layers that are durable only together.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        self.batches.state().count += 1;
        Batch { layers: self }
    }

    /// Makes everything durable that batches made so far.
    ///
    /// # Errors
    /// What the driver said.
    pub fn settle(&self) -> Result<()> {
        self.batches.state().since = None;
        Ok(self.driver.settle()?)
    }

    /// As [`settle`](Self::settle), if the oldest of it has been waiting for so long.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub fn settle_after(&self, age: Duration) -> Result<()> {
        let due = self.batches.state().since.is_some_and(|since| since.elapsed() >= age);
        if due { self.settle() } else { Ok(()) }
    }

    /// Seals a layer, durably unless a batch is to do that.
    pub(super) fn seal(&self, id: &LayerId) -> Result<()> {
        let mut state = self.batches.state();
        if state.count > 0 {
            state.since.get_or_insert_with(Instant::now);
            // Under the lock, so that the last batch does not end, and settle, before it.
            return Ok(self.driver.seal_later(id)?);
        }
        drop(state);
        Ok(self.driver.seal(id)?)
    }
}

impl Batch<'_> {
    /// Makes everything durable that was made.
    ///
    /// # Errors
    /// What the driver said.
    pub fn settle(self) -> Result<()> {
        self.layers.settle()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.layers.batches.state().count -= 1;
        // Nothing is left to do where it was settled.
        if let Err(error) = self.layers.settle() {
            tracing::warn!(%error, "layers that were made may not survive a power loss");
        }
    }
}
