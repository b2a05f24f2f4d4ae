use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use storage_driver::{Error, LayerId, LayerState, MountMode, Result};

use crate::Record;

pub type Unmount = Box<dyn FnOnce(&Path) -> Result<()> + Send + Sync>;

/// A layer that is mounted now.
pub struct Mounted {
    pub mode: MountMode,
    pub path: PathBuf,
    pub references: usize,
    pub unmount: Unmount,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted")
            .field("mode", &self.mode)
            .field("path", &self.path)
            .field("references", &self.references)
            .finish_non_exhaustive()
    }
}

/// One layer in memory.
#[derive(Debug)]
pub struct Slot<X> {
    pub record: Arc<Record<X>>,
    /// Layers, finished or being made, that stand on this one.
    pub children: usize,
    /// Being removed: as good as absent.
    pub leaving: bool,
    pub mounted: Option<Mounted>,
    /// Held for as long as an operation on this layer runs; never taken while the table is locked.
    pub gate: Arc<Mutex<()>>,
}

/// All layers of a root in memory; locked only for moments, never across a system call.
#[derive(Debug)]
pub struct Table<X> {
    pub slots: BTreeMap<LayerId, Slot<X>>,
    /// Ids of layers being made.
    pub reserved: BTreeSet<LayerId>,
    pub next_trash: u64,
}

impl<X> Table<X> {
    pub const fn new() -> Self {
        Self { slots: BTreeMap::new(), reserved: BTreeSet::new(), next_trash: 0 }
    }

    pub fn slot(&self, id: &LayerId) -> Result<&Slot<X>> {
        self.slots.get(id).filter(|slot| !slot.leaving).ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    pub fn slot_mut(&mut self, id: &LayerId) -> Result<&mut Slot<X>> {
        self.slots.get_mut(id).filter(|slot| !slot.leaving).ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    pub fn insert(&mut self, record: Record<X>) {
        let slot = Slot { record: Arc::new(record), children: 0, leaving: false, mounted: None, gate: Arc::default() };
        self.slots.insert(slot.record.info.id.clone(), slot);
    }

    /// Takes the id and holds the parent fast for a layer about to be made.
    pub fn reserve(&mut self, id: &LayerId, parent: Option<&LayerId>) -> Result<Option<Arc<Record<X>>>> {
        if self.slots.contains_key(id) || self.reserved.contains(id) {
            return Err(Error::Exists { id: id.clone() });
        }
        let parent = match parent {
            None => None,
            Some(parent) => {
                let slot = self.slot_mut(parent)?;
                if slot.record.info.state != LayerState::Sealed {
                    return Err(Error::NotSealed { id: parent.clone() });
                }
                slot.children += 1;
                Some(slot.record.clone())
            }
        };
        self.reserved.insert(id.clone());
        Ok(parent)
    }

    /// Lets the parent of a layer go that was not made, or is no more.
    pub fn let_go(&mut self, parent: Option<&LayerId>) {
        if let Some(slot) = parent.and_then(|parent| self.slots.get_mut(parent)) {
            slot.children -= 1;
        }
    }

    pub fn refuse_children(&self, id: &LayerId) -> Result<()> {
        let slot = self.slot(id)?;
        if slot.children == 0 {
            return Ok(());
        }
        let is_child = |other: &&Slot<X>| other.record.info.parent.as_ref() == Some(id);
        let child = self.slots.values().find(is_child).map(|child| child.record.info.id.clone());
        // A child that is only being made has no slot yet; any reserved id may be it.
        let child = child.or_else(|| self.reserved.first().cloned()).unwrap_or_else(|| id.clone());
        Err(Error::HasChildren { id: id.clone(), child, others: slot.children - 1 })
    }

    pub fn refuse_mounted(&self, id: &LayerId) -> Result<()> {
        match self.slot(id)?.mounted.as_ref().map(|mounted| mounted.mode) {
            None => Ok(()),
            Some(mode) => Err(in_use(id, mode)),
        }
    }
}

pub fn in_use(id: &LayerId, mode: MountMode) -> Error {
    let how = match mode {
        MountMode::ReadWrite => "it is mounted read-write",
        MountMode::ReadOnly => "it is mounted read-only",
    };
    Error::InUse { id: id.clone(), how }
}
