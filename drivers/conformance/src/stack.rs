//! A chain of layers beside a flat directory that must always look the same.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use storage_driver::{CreateOptions, LayerId, MountMode, StorageDriver};
use storage_layer::Manifest;

use crate::{
    Clock, Context, During, Op, Origins, Pair, Verdict,
    expectation::{check_changes, equal, same, transferred, without_sockets},
    verdict::ensure,
};

/// The layers of a case, the oracle, and the same layers on another driver.
///
/// Every layer is a list of operations. After each, these must all be equal to the oracle: the merged tree, the tree
/// after sealing, the diff laid over a sibling, and the diff laid over the same chain on another driver.
#[derive(Debug)]
pub struct Stack<'c, 'a> {
    context: &'c Context<'a>,
    driver: Arc<dyn StorageDriver>,
    peer: Arc<dyn StorageDriver>,
    oracle: PathBuf,
    layers: Vec<LayerId>,
    /// Where other drivers hold what the tars carried.
    peers: Vec<LayerId>,
    clock: Clock,
    /// Tars do not carry sockets, so trees made from tars lack them.
    sockets: bool,
}

impl<'c, 'a> Stack<'c, 'a> {
    /// An empty chain.
    pub fn new(context: &'c Context<'a>) -> Verdict<Self> {
        Ok(Self {
            context,
            driver: context.driver(),
            peer: context.peer()?,
            oracle: context.directory("oracle")?,
            layers: vec![],
            peers: vec![],
            clock: Clock::new(),
            sockets: false,
        })
    }

    /// Does a whole case: one full check per list of operations.
    pub fn check(context: &'c Context<'a>, layers: &[&[Op]]) -> Verdict {
        let mut stack = Self::new(context)?;
        for ops in layers {
            stack.layer(ops)?;
        }
        Ok(())
    }

    /// The topmost layer.
    pub fn top(&self) -> Option<&LayerId> {
        self.layers.last()
    }

    /// All layers, bottom first.
    pub fn layers(&self) -> &[LayerId] {
        &self.layers
    }

    /// The flat directory.
    pub fn oracle(&self) -> &Path {
        &self.oracle
    }

    /// Adds a layer, and checks everything there is to check of it.
    pub fn layer(&mut self, ops: &[Op]) -> Verdict {
        let number = self.layers.len() + 1;
        self.add_and_check(ops).during(|| format!("layer {number}"))
    }

    fn add_and_check(&mut self, ops: &[Op]) -> Verdict {
        let parent = self.top().cloned();
        let before = parent.is_some().then(|| Manifest::scan(&self.oracle)).transpose()?;
        let id = self.context.fresh_id("layer");
        self.driver.create(&id, parent.as_ref(), &CreateOptions::default())?;
        let after = self.write(&id, before.as_ref(), ops)?;

        check_changes(&self.driver.changes(&id)?, before.as_ref(), &after)
            .during(|| "changes before sealing".into())?;
        self.driver.seal(&id)?;
        self.check_view(&id, |found| same(&after, found)).during(|| "the sealed layer".into())?;
        check_changes(&self.driver.changes(&id)?, before.as_ref(), &after).during(|| "changes after sealing".into())?;

        let tar = self.export(&id)?;
        let carried = without_sockets(&after);
        self.check_sibling(parent.as_ref(), &tar, &carried).during(|| "diff laid over a sibling".into())?;
        self.check_peer(&tar, &carried).during(|| "diff laid over another driver's layer".into())?;
        self.layers.push(id);
        Ok(())
    }

    /// Adds a layer, and checks its merged tree and its changes only.
    pub fn layer_unchecked(&mut self, ops: &[Op]) -> Verdict {
        let id = self.context.fresh_id("layer");
        let parent = self.top().cloned();
        let before = parent.is_some().then(|| Manifest::scan(&self.oracle)).transpose()?;
        self.driver.create(&id, parent.as_ref(), &CreateOptions::default())?;
        self.write(&id, before.as_ref(), ops).during(|| format!("layer {}", self.layers.len() + 1))?;
        self.driver.seal(&id)?;
        let mut tar = vec![];
        self.driver.diff(&id, &mut tar)?;
        self.add_peer(&tar)?;
        self.layers.push(id);
        Ok(())
    }

    /// Does `ops` to the mounted layer and to the oracle; returns what the oracle then holds.
    fn write(&mut self, id: &LayerId, before: Option<&Manifest>, ops: &[Op]) -> Verdict<Manifest> {
        self.sockets |= ops.iter().any(|op| matches!(op, Op::Socket { .. }));
        let mounted = self.driver.mount(id, MountMode::ReadWrite)?;
        let deviations = self.driver.capabilities().deviations.clone();
        let pair = Pair { layer: mounted.path(), oracle: &self.oracle, deviations: &deviations };
        let mut origins = before.map(Origins::of).unwrap_or_default();
        match before {
            // A layer starts as its parent was left.
            Some(before) => equal(before, mounted.path()).during(|| "the fresh layer".into())?,
            None => _ = pair.apply(&self.clock.stamp(Path::new("")), &mut origins, &mut self.clock)?,
        }
        for op in ops {
            let answer = pair.apply(op, &mut origins, &mut self.clock)?;
            let declared = matches!(op, Op::Rename { .. }) && !deviations.is_empty();
            if let Err(error) = answer {
                ensure!(declared, "{op:?}: {error}");
            }
        }
        let after = Manifest::scan(&self.oracle)?;
        equal(&after, mounted.path()).during(|| "the merged tree".into())?;
        check_changes(&self.driver.changes(id)?, before, &after).during(|| "changes while mounted".into())?;
        mounted.close()?;
        Ok(after)
    }

    /// The layer as a tar, asked for twice.
    fn export(&self, id: &LayerId) -> Verdict<Vec<u8>> {
        let (mut first, mut second) = (vec![], vec![]);
        let stats = self.driver.diff(id, &mut first)?;
        self.driver.diff(id, &mut second)?;
        ensure!(first == second, "diff of {id} gave other bytes the second time");
        ensure!(
            stats.size.get() == first.len() as u64,
            "diff of {id} says it wrote {} bytes, and wrote {}",
            stats.size.get(),
            first.len()
        );
        Ok(first)
    }

    fn check_sibling(&self, parent: Option<&LayerId>, tar: &[u8], expected: &Manifest) -> Verdict {
        let sibling = self.context.fresh_id("sibling");
        self.driver.create(&sibling, parent, &CreateOptions::default())?;
        let stats = self.driver.apply(&sibling, &mut &*tar)?;
        ensure!(stats.size.get() == tar.len() as u64, "apply says it read {} of {} bytes", stats.size.get(), tar.len());
        self.driver.seal(&sibling)?;
        self.check_view(&sibling, |found| transferred(expected, &without_sockets(found)))?;
        if !self.sockets {
            ensure!(self.export(&sibling)? == tar, "its own diff differs from the diff it was made of");
        }
        Ok(self.driver.remove(&sibling)?)
    }

    fn add_peer(&mut self, tar: &[u8]) -> Verdict<LayerId> {
        let id = self.context.fresh_id("peer");
        self.peer.create(&id, self.peers.last(), &CreateOptions::default())?;
        self.peer.apply(&id, &mut &*tar)?;
        self.peer.seal(&id)?;
        self.peers.push(id.clone());
        Ok(id)
    }

    fn check_peer(&mut self, tar: &[u8], expected: &Manifest) -> Verdict {
        let id = self.add_peer(tar)?;
        let view = self.peer.mount(&id, MountMode::ReadOnly)?;
        transferred(expected, &Manifest::scan(view.path())?)?;
        view.close()?;
        if !self.sockets {
            let mut again = vec![];
            self.peer.diff(&id, &mut again)?;
            ensure!(again == tar, "{} exports other bytes for the same layer", self.peer.name());
        }
        Ok(())
    }

    fn check_view(&self, id: &LayerId, compare: impl FnOnce(&Manifest) -> Verdict) -> Verdict {
        let view = self.context.read(id)?;
        compare(&Manifest::scan(view.path())?)?;
        Ok(view.close()?)
    }
}
