use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use storage_driver::{Error, LayerId, LayerState, MountMode, Result};

use crate::{Record, hold::Hold, unread::Unread};

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
    /// Being removed: as good as absent.
    pub leaving: bool,
    pub mounted: Option<Mounted>,
    /// Held for as long as an operation on this layer runs; never taken while the table is locked.
    pub gate: Arc<Mutex<()>>,
}

/// The layers of a root in memory; locked only for moments, across a system call only where a record is read for the first
/// time: whoever is asked for a layer meanwhile must not take it for absent, nor a removed one for present.
#[derive(Debug)]
pub struct Table<X> {
    pub slots: BTreeMap<LayerId, Slot<X>>,
    /// Where the layers are that are not in `slots`; `None` when all are.
    unread: Option<Unread<X>>,
    /// Layers being made, and what they stand on.
    reserved: BTreeMap<LayerId, Option<LayerId>>,
    /// Layers that are sealed here and writable on disk.
    pub unsettled: BTreeSet<LayerId>,
    /// Those among them whose data a failed sync may have lost: the kernel tells that once, and the next sync succeeds.
    pub doubtful: BTreeSet<LayerId>,
    pub next_trash: u64,
}

impl<X> Table<X> {
    /// With all records, or with those that `unread` does not have.
    pub fn new(records: Vec<Record<X>>, unread: Option<Unread<X>>, next_trash: u64) -> Self {
        let mut table = Self {
            slots: BTreeMap::new(),
            unread,
            reserved: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            next_trash,
        };
        records.into_iter().for_each(|record| table.insert(record));
        table
    }

    pub fn slot(&mut self, id: &LayerId) -> Result<&Slot<X>> {
        self.slot_mut(id).map(|slot| &*slot)
    }

    pub fn slot_mut(&mut self, id: &LayerId) -> Result<&mut Slot<X>> {
        self.read(id)?;
        self.slots.get_mut(id).filter(|slot| !slot.leaving).ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    /// A layer that another one stands on, which therefore must be there.
    pub fn parent(&mut self, id: &LayerId) -> Result<&Slot<X>> {
        self.read(id)?;
        self.slots.get(id).ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    /// Reads a layer's record where that was not done yet; that there is none is no error.
    fn read(&mut self, id: &LayerId) -> Result<()> {
        let Some(unread) = &self.unread else { return Ok(()) };
        if self.slots.contains_key(id) || self.reserved.contains_key(id) {
            return Ok(());
        }
        if let Some(record) = unread.read(id)? {
            self.insert(record);
        }
        Ok(())
    }

    /// Reads what was not read yet, of all layers.
    pub fn read_all(&mut self) -> Result<()> {
        let Some(unread) = &self.unread else { return Ok(()) };
        for id in unread.ids()? {
            self.read(&id)?;
        }
        self.unread = None;
        Ok(())
    }

    pub fn insert(&mut self, record: Record<X>) {
        let slot = Slot { record: Arc::new(record), leaving: false, mounted: None, gate: Arc::default() };
        self.slots.insert(slot.record.info.id.clone(), slot);
    }

    /// Takes the id and holds the parent fast for a layer about to be made.
    pub fn reserve(&mut self, id: &LayerId, parent: Option<&LayerId>) -> Result<Option<Arc<Record<X>>>> {
        self.read(id)?;
        if self.slots.contains_key(id) || self.reserved.contains_key(id) {
            return Err(Error::Exists { id: id.clone() });
        }
        let below = match parent {
            None => None,
            Some(parent) => {
                let slot = self.slot(parent)?;
                if slot.record.info.state != LayerState::Sealed {
                    return Err(Error::NotSealed { id: parent.clone() });
                }
                Some(slot.record.clone())
            }
        };
        self.reserved.insert(id.clone(), parent.cloned());
        Ok(below)
    }

    /// Lets the id go of a layer that has been made, or has not.
    pub fn release(&mut self, id: &LayerId) {
        self.reserved.remove(id);
    }

    pub fn refuse_children(&mut self, id: &LayerId) -> Result<()> {
        // In a root that was at rest nothing stands on a writable layer: the others need not be read.
        if self.slot(id)?.record.info.state == LayerState::Sealed {
            self.read_all()?;
        }
        let made = self.slots.iter().map(|(child, slot)| (child, slot.record.info.parent.as_ref()));
        let being_made = self.reserved.iter().map(|(child, parent)| (child, parent.as_ref()));
        let mut children = made.chain(being_made).filter(|(_, parent)| *parent == Some(id)).map(|(child, _)| child);
        let Some(child) = children.next().cloned() else { return Ok(()) };
        Err(Error::HasChildren { id: id.clone(), child, others: children.count() })
    }

    /// Whether the layers on disk are as they are here, nothing is mounted but by holders, and no layer stands on a writable one.
    pub fn is_in_order(&self) -> bool {
        let fits = |slot: &Slot<X>| {
            let below = slot.record.info.parent.as_ref().and_then(|parent| self.slots.get(parent));
            // A parent that was not read is what it was when the root was at rest.
            let stands = below.is_none_or(|below| below.record.info.state == LayerState::Sealed);
            stands && !slot.leaving && slot.mounted.as_ref().is_none_or(|mounted| mounted.references == 0)
        };
        self.unsettled.is_empty() && self.reserved.is_empty() && self.slots.values().all(fits)
    }

    pub fn refuse_mounted(&mut self, id: &LayerId) -> Result<()> {
        self.slot(id)?.mounted.as_ref().map_or(Ok(()), |mounted| Err(mounted.in_use(id)))
    }

    /// Refuses what cannot be handed over to a holder: all but a mount with one reference, of this process's own.
    pub fn refuse_shared(&mut self, id: &LayerId, path: &Path) -> Result<()> {
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
