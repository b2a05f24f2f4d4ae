use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use storage_driver::{CreateOptions, Error, LayerId, LayerInfo, LayerState, MountMode, Result, Timestamp};

use crate::{mounting::Mount, tree::Tree};

/// One layer.
#[derive(Debug)]
pub struct Layer {
    pub info: LayerInfo,
    /// Layers below it, and itself.
    pub depth: usize,
    /// What it holds; while it is mounted read-write, what it held before.
    pub tree: Arc<Tree>,
    pub children: usize,
    pub mounted: Option<Mount>,
    /// Held while an operation on this layer runs; never waited for while the table is locked.
    pub gate: Arc<Mutex<()>>,
}

/// All layers and the rules of their life.
#[derive(Debug, Default)]
pub struct Layers {
    layers: BTreeMap<LayerId, Layer>,
}

impl Layers {
    pub fn get(&self, id: &LayerId) -> Result<&Layer> {
        self.layers.get(id).ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    pub fn get_mut(&mut self, id: &LayerId) -> Result<&mut Layer> {
        self.layers.get_mut(id).ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    pub fn create(&mut self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        if self.layers.contains_key(id) {
            return Err(Error::Exists { id: id.clone() });
        }
        let now = Timestamp::from_system(SystemTime::now());
        let (tree, depth) = match parent {
            None => (Arc::new(Tree::empty(seconds_and_nanoseconds(now))), 1),
            Some(parent) => {
                let layer = self.get_mut(parent)?;
                if layer.info.state != LayerState::Sealed {
                    return Err(Error::NotSealed { id: parent.clone() });
                }
                layer.children += 1;
                (layer.tree.clone(), layer.depth + 1)
            }
        };
        let info = LayerInfo {
            id: id.clone(),
            parent: parent.cloned(),
            state: LayerState::Writable,
            created: now,
            updated: now,
            labels: options.labels.clone(),
        };
        let layer = Layer { info, depth, tree, children: 0, mounted: None, gate: Arc::default() };
        self.layers.insert(id.clone(), layer);
        Ok(())
    }

    pub fn seal(&mut self, id: &LayerId) -> Result<()> {
        let layer = self.unmounted(id)?;
        if layer.info.state == LayerState::Writable {
            layer.info.state = LayerState::Sealed;
            layer.touch();
        }
        Ok(())
    }

    pub fn remove(&mut self, id: &LayerId) -> Result<()> {
        let layer = self.unmounted(id)?;
        let (children, parent) = (layer.children, layer.info.parent.clone());
        if children > 0 {
            let is_child = |layer: &&Layer| layer.info.parent.as_ref() == Some(id);
            let child = self.layers.values().find(is_child).map_or_else(|| id.clone(), |child| child.info.id.clone());
            return Err(Error::HasChildren { id: id.clone(), child, others: children - 1 });
        }
        self.layers.remove(id);
        if let Some(parent) = parent {
            self.get_mut(&parent)?.children -= 1;
        }
        Ok(())
    }

    /// A layer that is not mounted.
    pub fn unmounted(&mut self, id: &LayerId) -> Result<&mut Layer> {
        let layer = self.get_mut(id)?;
        match &layer.mounted {
            None => Ok(layer),
            Some(mounted) => Err(in_use(id, mounted.mode)),
        }
    }

    pub fn list(&self) -> Vec<LayerInfo> {
        let mut layers: Vec<_> = self.layers.values().collect();
        layers.sort_by_key(|layer| layer.depth);
        layers.into_iter().map(|layer| layer.info.clone()).collect()
    }

    pub fn refuse_any_mounted(&self) -> Result<()> {
        let mounted = self.layers.iter().find_map(|(id, layer)| Some((id, layer.mounted.as_ref()?.mode)));
        mounted.map_or(Ok(()), |(id, mode)| Err(in_use(id, mode)))
    }
}

impl Layer {
    /// Moves the time of the last update, never backwards.
    pub fn touch(&mut self) {
        self.info.updated = Timestamp::from_system(SystemTime::now()).max(self.info.updated);
    }
}

pub fn in_use(id: &LayerId, mode: MountMode) -> Error {
    let how = match mode {
        MountMode::ReadWrite => "it is mounted read-write",
        MountMode::ReadOnly => "it is mounted read-only",
    };
    Error::InUse { id: id.clone(), how: how.into() }
}

fn seconds_and_nanoseconds(time: Timestamp) -> (i64, u32) {
    let (seconds, nanoseconds) = (time.0 / 1_000_000_000, time.0 % 1_000_000_000);
    (i64::try_from(seconds).unwrap_or_default(), u32::try_from(nanoseconds).unwrap_or_default())
}
