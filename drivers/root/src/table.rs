use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use storage_driver::{Error, LayerId, LayerState, MountMode, Result};

use crate::{Record, hold::Hold};

pub type Unmount = Box<dyn FnOnce(&Path) -> Result<()> + Send + Sync>;

/// A layer that is mounted now.
pub struct Mounted {
    pub mode: MountMode,
    pub path: PathBuf,
    /// This process's; a mount that somebody holds can be without.
    pub references: usize,
    pub owner: Owner,
}

/// Whose matter it is to unmount.
pub enum Owner {
    /// That of the last reference.
    References(Unmount),
    /// The holder's.
    Holder(Hold),
    /// Nobody's: the holder has ended, and with it the mount, while this process had references.
    Nobody,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted")
            .field("mode", &self.mode)
            .field("path", &self.path)
            .field("references", &self.references)
            .field("holder", &self.hold().map(Hold::holder))
            .finish_non_exhaustive()
    }
}

impl Mounted {
    pub const fn hold(&self) -> Option<&Hold> {
        match &self.owner {
            Owner::Holder(hold) => Some(hold),
            Owner::References(_) | Owner::Nobody => None,
        }
    }

    pub fn in_use(&self, id: &LayerId) -> Error {
        let how = match self.mode {
            MountMode::ReadWrite => "it is mounted read-write",
            MountMode::ReadOnly => "it is mounted read-only",
        };
        let how = match self.hold() {
            None => how.into(),
            Some(hold) => format!("{how}, and held by {}", hold.holder()).into(),
        };
        Error::InUse { id: id.clone(), how }
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
    /// Layers that are sealed here and writable on disk.
    pub unsettled: BTreeSet<LayerId>,
    /// Those among them whose data a failed sync may have lost: the kernel tells that once, and the next sync succeeds.
    pub doubtful: BTreeSet<LayerId>,
    pub next_trash: u64,
}

impl<X> Table<X> {
    pub const fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            reserved: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            next_trash: 0,
        }
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
        self.slot(id)?.mounted.as_ref().map_or(Ok(()), |mounted| Err(mounted.in_use(id)))
    }

    /// Refuses what cannot be handed over to a holder: all but a mount with one reference, of this process's own.
    pub fn refuse_shared(&self, id: &LayerId, path: &Path) -> Result<()> {
        let mounted = self.slot(id)?.mounted.as_ref().filter(|mounted| mounted.path == path);
        let Some(mounted) = mounted else { return Err(Error::NotFound { id: id.clone() }) };
        match mounted.owner {
            Owner::References(_) if mounted.references == 1 => Ok(()),
            Owner::References(_) => {
                let how = format!("its mount has {} references, and only one alone can be held", mounted.references);
                Err(Error::InUse { id: id.clone(), how: how.into() })
            }
            Owner::Holder(_) | Owner::Nobody => Err(mounted.in_use(id)),
        }
    }

    /// Makes the layer its holder's to unmount.
    pub fn hand_over(&mut self, id: &LayerId, path: &Path, hold: Hold) -> Result<Unmount> {
        self.refuse_shared(id, path)?;
        let mounted = self.slot_mut(id)?.mounted.as_mut().ok_or_else(|| Error::NotFound { id: id.clone() })?;
        match std::mem::replace(&mut mounted.owner, Owner::Holder(hold)) {
            Owner::References(unmount) => Ok(unmount),
            other => {
                mounted.owner = other;
                Err(mounted.in_use(id))
            }
        }
    }

    /// Whoever else has this layer mounted, as far as is known.
    pub fn hold(&self, id: &LayerId) -> Option<&Hold> {
        self.slots.get(id)?.mounted.as_ref()?.hold()
    }
}
