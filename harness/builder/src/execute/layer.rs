//! One layer: prepared, mounted, changed, unmounted, committed; or taken from the cache; or given up whole.

use std::{
    path::Path,
    sync::PoisonError,
    time::{Duration, Instant},
};

use harness_image::{CacheEntry, ChainId, LayerBlob, PrepareOptions};
use storage_driver::{DiffStats, LayerId, MountMode, Timestamp, Usage};
use storage_layer::Digest;

use super::{Build, CachedStep, config::State, epoch};
use crate::{Error, LayerSummary, Result, StepTimes, cache_key::KeyMaker, context::Jail};

/// How often steps are made durable at least: together with others where they are quick, and alone where losing them would be a loss.
const AT_LEAST: Duration = Duration::from_secs(1);

/// What a step made.
pub struct Made {
    pub cached: bool,
    pub times: StepTimes,
    pub layer: Option<LayerSummary>,
}

/// What a step's layer is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// All that the stage has.
    Stage,
    /// Nothing: what it holds comes on top of the stage's files when it is done, whatever these are (`COPY --link`).
    Nothing,
}

/// A step that makes a layer.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    pub key: Digest,
    pub text: &'a str,
    pub ground: Ground,
}

/// A layer that is in the store.
struct Stored {
    blob: LayerBlob,
    chain: ChainId,
    summary: LayerSummary,
}

impl Build<'_> {
    /// The layer of the step with this key, made by `change` unless an earlier build made it.
    pub fn layer(&self, state: &mut State, task: Task<'_>, change: impl FnOnce(&Path) -> Result<()>) -> Result<Made> {
        let key = self.with_epoch(task.key);
        if !state.no_cache
            && let Some((entry, layer)) = self.cached(&key)?
        {
            self.record(key, state, &entry);
            state.chain = Some(ChainId::on(state.chain.as_ref(), &layer.diff_id));
            state.layers.push(layer);
            self.remember(state, task.text, entry.created)?;
            return Ok(Made { cached: true, times: StepTimes::default(), layer: None });
        }
        self.networks.begin(self.request.network);
        let mut times = StepTimes::default();
        let made = match task.ground {
            Ground::Stage => self.make(state, &mut times, change)?,
            Ground::Nothing => self.make_apart(state, &mut times, change)?,
        };
        let entry = CacheEntry {
            instruction: task.text.to_owned(),
            layer: Some(made.blob.clone()),
            chain: Some(made.chain),
            created: self.epoch.unwrap_or(self.now),
            notes: std::collections::BTreeMap::new(),
        };
        self.layers.store().cache().put(&key, &entry)?;
        self.record(key, state, &entry);
        if !self.request.settle_once {
            self.layers.settle_after(AT_LEAST)?;
        }
        state.layers.push(made.blob);
        state.chain = Some(made.chain);
        self.remember(state, task.text, entry.created)?;
        Ok(Made { cached: false, times, layer: Some(made.summary) })
    }

    /// On top of the stage.
    fn make(&self, state: &State, times: &mut StepTimes, change: impl FnOnce(&Path) -> Result<()>) -> Result<Stored> {
        let started = Instant::now();
        let parent = self.lay_out(state)?;
        let id = self.layers.prepare(parent.as_ref(), &PrepareOptions::default())?;
        times.prepare = started.elapsed();
        let committed = self.change(&id, times, change).and_then(|()| {
            let committed = self.layers.commit(&id, state.chain.as_ref())?;
            times.diff = committed.times.diff;
            times.commit = committed.times.usage + committed.times.seal;
            Ok(committed)
        });
        // The first error is what the user must hear; what cannot be removed now goes at the next opening.
        let committed = committed.inspect_err(|_| self.give_up(&id))?;
        let summary = summary(&committed.blob, &committed.stats, &committed.usage);
        Ok(Stored { blob: committed.blob, chain: committed.chain, summary })
    }

    /// On nothing, and then once more on the stage: what it holds does not depend on the stage, and so neither does its
    /// key.
    fn make_apart(
        &self,
        state: &State,
        times: &mut StepTimes,
        change: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Stored> {
        let started = Instant::now();
        let id = self.layers.prepare(None, &PrepareOptions::default())?;
        times.prepare = started.elapsed();
        let exported = self.change(&id, times, change).and_then(|()| {
            let started = Instant::now();
            let exported = self.layers.export(&id)?;
            times.diff = started.elapsed();
            Ok(exported)
        });
        let (blob, stats) = exported.inspect_err(|_| self.give_up(&id))?;
        self.layers.discard(&id)?;
        let started = Instant::now();
        self.lay_out(state)?;
        let (chain, layer) = self.layers.ensure_on(state.chain.as_ref(), &blob)?;
        let usage = self.layers.driver().usage(&layer)?;
        times.commit = started.elapsed();
        Ok(Stored { summary: summary(&blob, &stats, &usage), blob, chain })
    }

    fn give_up(&self, id: &LayerId) {
        if let Err(error) = self.layers.discard(id) {
            tracing::warn!(layer = %id, %error, "the layer of a failed step could not be removed");
        }
    }

    /// Keeps what the step has come to, for caches elsewhere.
    fn record(&self, key: Digest, state: &State, entry: &CacheEntry) {
        let step = CachedStep { key, below: state.chain, entry: entry.clone() };
        self.records.lock().unwrap_or_else(PoisonError::into_inner).insert(key, step);
    }

    fn cached(&self, key: &Digest) -> Result<Option<(CacheEntry, LayerBlob)>> {
        let entry = self.layers.store().cache().get(key)?.filter(|entry| entry.chain.is_some());
        Ok(entry.and_then(|entry| entry.layer.clone().map(|layer| (entry, layer))))
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

fn summary(blob: &LayerBlob, stats: &DiffStats, usage: &Usage) -> LayerSummary {
    LayerSummary {
        diff_id: blob.diff_id,
        size: stats.size,
        content: stats.content,
        entries: stats.entries,
        exclusive: usage.exclusive,
        copied_up: usage.copied_up,
    }
}
