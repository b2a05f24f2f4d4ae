//! Counted mounts, and those that outlive the driver.

use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use storage_driver::{Error, HeldMount, LayerId, LayerState, MountMode, MountedLayer, Result};

use crate::{
    Record, Root,
    hold::{Hold, Life},
    open,
    root::rollback,
    table::{Mounted, Owner},
};

impl<X> Root<X> {
    /// The path of the mount, if the layer is mounted now, by whomever.
    #[must_use]
    pub fn mounted_path(&self, id: &LayerId) -> Option<PathBuf> {
        let (path, hold) = {
            let mut table = self.table();
            let mounted = table.slot(id).ok()?.mounted.as_ref()?;
            (mounted.path.clone(), mounted.hold().cloned())
        };
        let ended = hold.is_some_and(|hold| matches!(hold.life(), Ok(Life::Left | Life::Closed)));
        (!ended).then_some(path)
    }

    /// Refuses while this process has any layer mounted; what is held outlives it.
    ///
    /// # Errors
    /// [`Error::InUse`] names one.
    pub fn shutdown(&self) -> Result<()> {
        let table = self.table();
        let own = |(id, slot): (&LayerId, &crate::table::Slot<X>)| {
            slot.mounted.as_ref().filter(|mounted| mounted.references > 0).map(|mounted| mounted.in_use(id))
        };
        table.slots.iter().find_map(own).map_or(Ok(()), Err)
    }

    /// Finds out whether the layer's holder, if it has one, still lives, and takes away what it left if not. To be called
    /// before a decision that hangs on whether the layer is mounted, in the layer's turn.
    pub(crate) fn look_after(&self, id: &LayerId) -> Result<()> {
        let Some(hold) = self.table().hold(id).cloned() else { return Ok(()) };
        match hold.life()? {
            Life::Living => return Ok(()),
            Life::Closed => {}
            Life::Left => {
                let detached = open::detach_below(&[self.layer_dir(id)], |_| false)?;
                hold.forget()?;
                tracing::info!(layer = %id, holder = hold.holder(), mounts = detached.len(), "a holder has ended");
            }
        }
        let mut table = self.table();
        let slot = table.slot_mut(id)?;
        match &mut slot.mounted {
            Some(mounted) if mounted.references > 0 => mounted.owner = Owner::Nobody,
            mounted => *mounted = None,
        }
        Ok(())
    }
}

impl<X: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Root<X> {
    /// Mounts a layer or takes one more reference; `mount` and `unmount` run for the first and the last.
    ///
    /// `unmount` is given the path that `mount` returned. For mounts that are to be [held](Self::hold) it must not keep a
    /// clone of this root.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Sealed`], [`Error::InUse`], or what `mount` said.
    pub fn mount(
        &self,
        id: &LayerId,
        mode: MountMode,
        mount: impl FnOnce(&Record<X>, MountMode) -> Result<PathBuf>,
        unmount: impl FnOnce(&Path) -> Result<()> + Send + Sync + 'static,
    ) -> Result<MountedLayer> {
        self.exclusively(id, || {
            self.look_after(id)?;
            let record = {
                let mut table = self.table();
                let slot = table.slot(id)?;
                if mode == MountMode::ReadWrite && slot.record.info.state == LayerState::Sealed {
                    return Err(Error::Sealed { id: id.clone() });
                }
                slot.record.clone()
            };
            if let Some(path) = self.refer(id, mode)? {
                return Ok(self.reference(id, mode, path));
            }
            let path = mount(&record, mode)?;
            let mut table = self.table();
            let slot = table.slot_mut(id)?;
            // References to a mount whose holder has ended are to this one now: it is at the same path.
            let references = slot.mounted.as_ref().map_or(0, |mounted| mounted.references) + 1;
            let owner = Owner::References(Box::new(unmount));
            slot.mounted = Some(Mounted { mode, path: path.clone(), references, owner });
            drop(table);
            Ok(self.reference(id, mode, path))
        })
    }

    /// Takes one more reference to a mounted layer; `None` when it is not mounted.
    fn refer(&self, id: &LayerId, mode: MountMode) -> Result<Option<PathBuf>> {
        let hold = {
            let mut table = self.table();
            let Some(mounted) = &mut table.slot_mut(id)?.mounted else { return Ok(None) };
            if mounted.mode != mode {
                return Err(mounted.in_use(id));
            }
            match &mounted.owner {
                Owner::Nobody => return Ok(None),
                Owner::Holder(hold) => hold.clone(),
                Owner::References(_) => {
                    mounted.references += 1;
                    return Ok(Some(mounted.path.clone()));
                }
            }
        };
        if !hold.is_here() {
            let how = format!("it is mounted by {}, where this process cannot see it", hold.holder());
            return Err(Error::InUse { id: id.clone(), how: how.into() });
        }
        if let Some(mounted) = &mut self.table().slot_mut(id)?.mounted {
            mounted.references += 1;
        }
        Ok(Some(hold.path().to_owned()))
    }

    fn reference(&self, id: &LayerId, mode: MountMode, path: PathBuf) -> MountedLayer {
        let (root, layer) = (self.clone(), id.clone());
        MountedLayer::new(id.clone(), mode, path, Box::new(move || root.give_back(&layer)))
    }

    fn give_back(&self, id: &LayerId) -> Result<()> {
        self.exclusively(id, || {
            let last = {
                let mut table = self.table();
                let slot = table.slot_mut(id)?;
                let Some(mounted) = &mut slot.mounted else { return Ok(()) };
                mounted.references -= 1;
                if mounted.references > 0 || mounted.hold().is_some() {
                    return Ok(());
                }
                slot.mounted.take()
            };
            match last {
                Some(Mounted { path, owner: Owner::References(unmount), .. }) => unmount(&path),
                _ => Ok(()),
            }
        })
    }

    /// Takes a mount's only reference over into a hold, which outlives this root.
    ///
    /// Its `unmount` goes with it, and is called when the hold is closed, with the root open or not.
    ///
    /// # Errors
    /// [`Error::InUse`] when there are other references or another holder; what the file system said. The reference is
    /// given back then.
    pub fn hold(&self, mounted: MountedLayer) -> Result<HeldMount> {
        let (id, mode, path) = (mounted.id().clone(), mounted.mode(), mounted.path().to_owned());
        let (holder, unmount) = self.exclusively(&id, || {
            self.table().refuse_shared(&id, &path)?;
            let (hold, holder) = Hold::make(self.path(), &id, mode, &path)?;
            // The reference is given back below, and then the layer is mounted by its holder alone.
            let taken = self.table().hand_over(&id, &path, hold);
            match taken {
                Ok(unmount) => Ok((holder, unmount)),
                Err(error) => Err(rollback(error, holder.discard())),
            }
        })?;
        let unmounted = path.clone();
        let held = HeldMount::new(id, mode, path, Box::new(move || holder.end(unmount, &unmounted)));
        mounted.close()?;
        Ok(held)
    }
}
