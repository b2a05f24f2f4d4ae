//! One layer: prepared, mounted, changed, unmounted, committed; or taken from the cache; or given up whole.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use harness_image::{CacheEntry, PrepareOptions};
use storage_driver::{LayerId, MountMode, Timestamp};
use storage_layer::Digest;

use super::{Build, config::State, epoch};
use crate::{Error, LayerSummary, Result, StepTimes, cache_key::KeyMaker, context::Jail};

/// How often steps are made durable at least: together with others where they are quick, and alone where losing them would be a loss.
const AT_LEAST: Duration = Duration::from_secs(1);

/// What a step made.
pub struct Made {
    pub cached: bool,
    pub times: StepTimes,
    pub layer: Option<LayerSummary>,
}

impl Build<'_> {
    /// The layer of the step with this key, made by `change` unless an earlier build made it.
    pub fn layer(
        &self,
        state: &mut State,
        key: Digest,
        text: &str,
        change: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Made> {
        let key = self.with_epoch(key);
        if !state.no_cache
            && let Some(entry) = self.cached(&key)?
        {
            return self.reuse(state, text, entry);
        }
        self.networks.begin(self.request.network);
        let mut times = StepTimes::default();
        let started = Instant::now();
        let parent = self.lay_out(state)?;
        let id = self.layers.prepare(parent.as_ref(), &PrepareOptions::default())?;
        times.prepare = started.elapsed();
        let committed = self.change(&id, &mut times, change).and_then(|()| {
            let committed = self.layers.commit(&id, state.chain.as_ref())?;
            times.diff = committed.times.diff;
            times.commit = committed.times.usage + committed.times.seal;
            Ok(committed)
        });
        let committed = committed.inspect_err(|_| {
            // The first error is what the user must hear; what cannot be removed now goes at the next opening.
            if let Err(error) = self.layers.discard(&id) {
                tracing::warn!(layer = %id, %error, "the layer of a failed step could not be removed");
            }
        })?;
        let layer = LayerSummary {
            diff_id: committed.blob.diff_id,
            size: committed.stats.size,
            content: committed.stats.content,
            entries: committed.stats.entries,
            exclusive: committed.usage.exclusive,
            copied_up: committed.usage.copied_up,
        };
        let entry = CacheEntry {
            instruction: text.to_owned(),
            layer: Some(committed.blob.clone()),
            chain: Some(committed.chain),
            created: self.epoch.unwrap_or(self.now),
            notes: std::collections::BTreeMap::new(),
        };
        self.layers.store().cache().put(&key, &entry)?;
        if !self.request.settle_once {
            self.layers.settle_after(AT_LEAST)?;
        }
        state.layers.push(committed.blob);
        state.chain = Some(committed.chain);
        self.remember(state, text, entry.created)?;
        Ok(Made { cached: false, times, layer: Some(layer) })
    }

    fn cached(&self, key: &Digest) -> Result<Option<CacheEntry>> {
        Ok(self.layers.store().cache().get(key)?.filter(|entry| entry.layer.is_some() && entry.chain.is_some()))
    }

    fn reuse(&self, state: &mut State, text: &str, entry: CacheEntry) -> Result<Made> {
        state.layers.extend(entry.layer);
        state.chain = entry.chain;
        self.remember(state, text, entry.created)?;
        Ok(Made { cached: true, times: StepTimes::default(), layer: None })
    }

    fn remember(&self, state: &mut State, text: &str, created: Timestamp) -> Result<()> {
        let created = self.epoch.unwrap_or(created);
        state.latest = Some(created);
        state.remember(text, true, created)
    }

    /// The same step makes another layer where times are held back.
    fn with_epoch(&self, key: Digest) -> Digest {
        let Some(epoch) = self.epoch else { return key };
        let mut maker = KeyMaker::new();
        maker.add(key.to_string().as_bytes());
        maker.add(&epoch.0.to_le_bytes());
        maker.finish()
    }

    /// Puts what a state's chain lacks onto the driver, bottom up; the top layer is the answer.
    pub fn lay_out(&self, state: &State) -> Result<Option<LayerId>> {
        if let Some(chain) = &state.chain
            && let Some(known) = self.layers.layer_of(chain)?
        {
            return Ok(Some(known));
        }
        let mut below = None;
        let mut top = None;
        for layer in &state.layers {
            let (chain, id) = self.layers.ensure_on(below.as_ref(), layer)?;
            below = Some(chain);
            top = Some(id);
        }
        Ok(top)
    }

    /// Shows the files of a state; `None` for one without any.
    pub fn look_into<T>(&self, state: &State, look: impl FnOnce(&Jail) -> Result<T>) -> Result<Option<T>> {
        let Some(layer) = self.lay_out(state)? else { return Ok(None) };
        let mounted = self.layers.driver().mount(&layer, MountMode::ReadOnly)?;
        let jail = Jail::open(mounted.path()).map_err(Error::io("open", mounted.path()));
        let looked = jail.and_then(|files| look(&files));
        let closed = mounted.close();
        let looked = looked?;
        closed?;
        Ok(Some(looked))
    }

    fn change(&self, id: &LayerId, times: &mut StepTimes, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let started = Instant::now();
        let mounted = self.layers.driver().mount(id, MountMode::ReadWrite)?;
        times.mount = started.elapsed();
        let started = Instant::now();
        let mut changed = change(mounted.path());
        if let (Ok(()), Some(epoch)) = (&changed, self.epoch) {
            let changes = self.layers.driver().changes(id);
            changed = changes.map_err(Into::into).and_then(|all| epoch::clamp(mounted.path(), &all, epoch));
        }
        times.run = started.elapsed();
        let started = Instant::now();
        let closed = mounted.close();
        times.mount += started.elapsed();
        changed?;
        Ok(closed?)
    }
}
