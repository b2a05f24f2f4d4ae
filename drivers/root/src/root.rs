use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use serde::{Serialize, de::DeserializeOwned};
use storage_driver::{Error, Labels, LayerId, LayerInfo, LayerState, Leftover, Result, Timestamp};

use crate::{
    Durability, Record,
    atomic::sync_directory,
    delete::delete_tree,
    hold::Found,
    lock::Lock,
    open, rest,
    table::{Mounted, Owner, Table},
    unread::Unread,
};

/// A driver's root directory, open; cheap to clone.
///
/// Keeps the life-cycle rules of [`storage_driver::StorageDriver`] (who may be created, mounted, sealed,
/// removed when) so that a driver has only to say how.
#[derive(Debug)]
pub struct Root<X> {
    inner: Arc<Inner<X>>,
}

impl<X> Clone for Root<X> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

#[derive(Debug)]
struct Inner<X> {
    path: PathBuf,
    durability: Durability,
    was_at_rest: bool,
    /// See [`Root::ready`].
    is_ready: AtomicBool,
    recovered: Vec<Leftover>,
    table: Mutex<Table<X>>,
    /// Held by who settles; true when records were put in place and not synced. Taken before any gate.
    settling: Mutex<bool>,
    _lock: Lock,
}

impl<X> Drop for Inner<X> {
    /// Still with the lock.
    fn drop(&mut self) {
        if !self.was_at_rest && !*self.is_ready.get_mut() {
            return;
        }
        let table = self.table.get_mut().unwrap_or_else(PoisonError::into_inner);
        let empty = |dir| open::entries(&self.path.join(dir)).is_ok_and(|left| left.is_empty());
        if table.is_in_order() && empty(open::STAGING) && empty(open::TRASH) {
            rest::begin(&self.path);
        }
    }
}

impl<X> Root<X> {
    /// Where the root is, absolute and without symlinks.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Where a layer's own files are.
    #[must_use]
    pub fn layer_dir(&self, id: &LayerId) -> PathBuf {
        self.inner.path.join(open::LAYERS).join(id.as_str())
    }

    /// Whether sealed layers reach the disk.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// What opening found of an earlier crash and took away.
    #[must_use]
    pub fn recovered(&self) -> &[Leftover] {
        &self.inner.recovered
    }

    /// Whether whoever had the root last left everything in order: then nothing that a driver keeps beside its layers needs to be
    /// compared with them.
    #[must_use]
    pub fn was_at_rest(&self) -> bool {
        self.inner.was_at_rest
    }

    /// Says that the driver has brought in order what it keeps beside its layers, as the last step of its own opening. Without
    /// that, the next opening does not take this root for one that is.
    pub fn ready(&self) {
        self.inner.is_ready.store(true, Ordering::Relaxed);
    }

    /// One layer's record.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get(&self, id: &LayerId) -> Result<Arc<Record<X>>> {
        Ok(self.table().slot(id)?.record.clone())
    }

    /// What is known of one layer.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        Ok(self.get(id)?.info.clone())
    }

    /// All layers, parents before their children, otherwise by id.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn list(&self) -> Result<Vec<LayerInfo>> {
        let mut records: Vec<_> = {
            let mut table = self.table();
            table.read_all()?;
            table.slots.values().filter(|slot| !slot.leaving).map(|slot| slot.record.clone()).collect()
        };
        records.sort_by_key(|record| record.depth);
        Ok(records.iter().map(|record| record.info.clone()).collect())
    }

    /// A layer and all below it: the layer first, the bottom of the chain last.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn chain(&self, id: &LayerId) -> Result<Vec<Arc<Record<X>>>> {
        let mut table = self.table();
        let mut chain = vec![table.slot(id)?.record.clone()];
        while let Some(parent) = &chain[chain.len() - 1].info.parent {
            chain.push(table.parent(parent)?.record.clone());
        }
        Ok(chain)
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table<X>> {
        // The table is consistent between statements, so a panic elsewhere does not spoil it.
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settling(&self) -> MutexGuard<'_, bool> {
        self.inner.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `operation` while no other operation on this layer runs.
    pub(crate) fn exclusively<T>(&self, id: &LayerId, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        let gate = self.table().slot(id)?.gate.clone();
        let _held = gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.table().slot(id)?;
        operation()
    }
}

impl<X: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Root<X> {
    /// Opens a driver's root, making it if it is not there, and takes away what a crash left. What living processes hold
    /// is mounted.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::Unusable`] when it belongs to another driver or a newer format;
    /// [`Error::Corrupt`] when a sealed layer's record cannot be read or its parent is missing.
    pub fn open(path: &Path, driver: &'static str, durability: Durability) -> Result<Self> {
        Self::open_with(path, driver, durability, &delete_tree)
    }

    /// Like [`open`](Self::open), for a driver whose layers are more than directories: `delete` takes away what a
    /// layer's directory, staged or trashed, stands for, and the directory.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and what `delete` said.
    pub fn open_with(
        path: &Path,
        driver: &'static str,
        durability: Durability,
        delete: &dyn Fn(&Path) -> Result<()>,
    ) -> Result<Self> {
        Self::open_prepared(path, driver, durability, &|_| Ok(()), delete)
    }

    /// Like [`open_with`](Self::open_with), for a driver whose mounts may hang after a crash: `prepare` is given the
    /// root's path as soon as the lock is held, before any mount is touched.
    ///
    /// # Errors
    /// As for [`open_with`](Self::open_with), and what `prepare` said.
    pub fn open_prepared(
        path: &Path,
        driver: &'static str,
        durability: Durability,
        prepare: &dyn Fn(&Path) -> Result<()>,
        delete: &dyn Fn(&Path) -> Result<()>,
    ) -> Result<Self> {
        let path = open::make(path)?;
        let lock = Lock::take(&path)?;
        open::check_format(&path, driver, durability)?;
        prepare(&path)?;
        let was_at_rest = rest::end(&path)?;
        let found = Found::in_root(&path)?;
        let mut recovered = Vec::new();
        if !was_at_rest || !found.left.is_empty() {
            recovered.extend(open::detach_mounts(&path, &found)?);
        }
        let mut table = if was_at_rest {
            Table::new(Vec::new(), Some(Unread::below(&path)), 0)
        } else {
            let records = open::load(&path, delete, &mut recovered)?;
            open::empty_leftovers(&path, delete, &mut recovered)?;
            Table::new(records, None, open::next_trash(&path)?)
        };
        for (id, hold) in found.living {
            let (mode, path) = (hold.mode(), hold.path().to_owned());
            match table.slot_mut(&id) {
                Ok(slot) => slot.mounted = Some(Mounted { mode, path, references: 0, owner: Owner::Holder(hold) }),
                Err(error) => tracing::warn!(holder = hold.holder(), %error, "what is held is no layer"),
            }
        }
        let (table, settling) = (Mutex::new(table), Mutex::new(false));
        let is_ready = AtomicBool::new(false);
        let inner = Inner { path, durability, was_at_rest, is_ready, recovered, table, settling, _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes a layer: `build` fills the staged directory and returns the driver's part of the record.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotFound`], [`Error::NotSealed`], or what `build` said. The layer is absent then.
    pub fn create(
        &self,
        id: &LayerId,
        parent: Option<&LayerId>,
        labels: &Labels,
        build: impl FnOnce(&Path, Option<&Record<X>>) -> Result<X>,
    ) -> Result<()> {
        let below = self.table().reserve(id, parent)?;
        let made = self.stage(id, below.as_deref(), labels, build);
        let mut table = self.table();
        table.release(id);
        table.insert(made?);
        Ok(())
    }

    fn stage(
        &self,
        id: &LayerId,
        parent: Option<&Record<X>>,
        labels: &Labels,
        build: impl FnOnce(&Path, Option<&Record<X>>) -> Result<X>,
    ) -> Result<Record<X>> {
        let staged = self.inner.path.join(open::STAGING).join(id.as_str());
        fs::create_dir(&staged).map_err(Error::io("create", &staged))?;
        let finish = || {
            let driver = build(&staged, parent)?;
            let now = Timestamp::from_system(SystemTime::now());
            let info = LayerInfo {
                id: id.clone(),
                parent: parent.map(|parent| parent.info.id.clone()),
                state: LayerState::Writable,
                created: now,
                updated: now,
                labels: labels.clone(),
            };
            let record = Record { info, depth: parent.map_or(0, |parent| parent.depth) + 1, driver };
            record.write(&staged, Durability::Skip)?;
            fs::rename(&staged, self.layer_dir(id)).map_err(Error::io("finish", &staged))?;
            Ok(record)
        };
        finish().map_err(|cause| rollback(cause, delete_tree(&staged)))
    }

    /// Seals a layer: `make_durable` brings the driver's data to disk and may change its part of the record.
    ///
    /// It is not called for a layer that is sealed already, nor with [`Durability::Skip`] expected to sync.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`], or what `make_durable` said. The layer stays writable then.
    pub fn seal(&self, id: &LayerId, make_durable: impl FnOnce(&Path, &mut X) -> Result<()>) -> Result<()> {
        self.exclusively(id, || {
            let record = {
                self.look_after(id)?;
                let mut table = self.table();
                table.refuse_mounted(id)?;
                table.slot(id)?.record.clone()
            };
            if record.info.state == LayerState::Sealed {
                return Ok(());
            }
            let mut record = Record::clone(&record);
            record.info.state = LayerState::Sealed;
            let dir = self.layer_dir(id);
            make_durable(&dir, &mut record.driver)?;
            // What leads to the record comes before the record: after that nothing may fail any more.
            sync_directory(&self.inner.path.join(open::LAYERS), self.inner.durability)?;
            self.replace(record)
        })
    }

    /// Runs `operation` on a layer that is writable and not mounted, and keeps others off it meanwhile.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Sealed`], [`Error::InUse`], or what `operation` said.
    pub fn with_writable<T>(&self, id: &LayerId, operation: impl FnOnce(&Path, &Record<X>) -> Result<T>) -> Result<T> {
        self.exclusively(id, || {
            let record = {
                self.look_after(id)?;
                let mut table = self.table();
                table.refuse_mounted(id)?;
                table.slot(id)?.record.clone()
            };
            if record.info.state == LayerState::Sealed {
                return Err(Error::Sealed { id: id.clone() });
            }
            operation(&self.layer_dir(id), &record)
        })
    }

    /// Replaces a layer's labels.
    ///
    /// # Errors
    /// [`Error::NotFound`]; on any error the old labels stay.
    pub fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.exclusively(id, || {
            let mut record = Record::clone(&*self.get(id)?);
            record.info.labels.clone_from(labels);
            self.replace(record)
        })
    }

    /// Writes a changed record; a writable layer's need not be durable.
    fn replace(&self, mut record: Record<X>) -> Result<()> {
        let id = record.info.id.clone();
        record.info.updated = Timestamp::from_system(SystemTime::now()).max(record.info.updated);
        if self.table().unsettled.contains(&id) {
            as_writable(&record).write(&self.layer_dir(&id), Durability::Skip)?;
        } else {
            let durability = match record.info.state {
                LayerState::Sealed => self.inner.durability,
                LayerState::Writable => Durability::Skip,
            };
            record.write(&self.layer_dir(&id), durability)?;
        }
        self.table().slot_mut(&id)?.record = Arc::new(record);
        Ok(())
    }

    /// Removes a layer: it is gone with one rename; `delete` then deletes its directory from the trash.
    ///
    /// When `delete` fails the layer is gone all the same, and the next opening tries again.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`], [`Error::HasChildren`], or a failed rename. The layer is whole then.
    pub fn remove(&self, id: &LayerId, delete: impl FnOnce(&Path, &Record<X>) -> Result<()>) -> Result<()> {
        self.exclusively(id, || {
            let (record, trashed) = {
                self.look_after(id)?;
                let mut table = self.table();
                table.refuse_mounted(id)?;
                table.refuse_children(id)?;
                let number = table.next_trash;
                table.next_trash += 1;
                let slot = table.slot_mut(id)?;
                slot.leaving = true;
                (slot.record.clone(), self.inner.path.join(open::TRASH).join(number.to_string()))
            };
            let dir = self.layer_dir(id);
            let on_disk = if self.table().unsettled.contains(id) { LayerState::Writable } else { record.info.state };
            let gone = self.put_away(&dir, &trashed, on_disk);
            let mut table = self.table();
            if gone.is_err() {
                if let Some(slot) = table.slots.get_mut(id) {
                    slot.leaving = false;
                }
            } else {
                table.slots.remove(id);
                table.unsettled.remove(id);
                table.doubtful.remove(id);
            }
            drop(table);
            if gone? && let Err(error) = delete(&trashed, &record) {
                tracing::warn!(layer = %id, %error, "a removed layer's files stay in the trash until the next opening");
            }
            Ok(())
        })
    }

    /// Moves a layer's directory into the trash, durably where the layer was sealed; true when it may be deleted there:
    /// were its files deleted before, a power loss could leave a layer that says it is whole and is not.
    ///
    /// On any error it is where it was.
    fn put_away(&self, dir: &Path, trashed: &Path, state: LayerState) -> Result<bool> {
        fs::rename(dir, trashed).map_err(Error::io("remove", dir))?;
        if state == LayerState::Writable {
            return Ok(true);
        }
        let Err(error) = sync_directory(&self.inner.path.join(open::LAYERS), self.inner.durability) else {
            return Ok(true);
        };
        if fs::rename(trashed, dir).is_ok() {
            return Err(error);
        }
        tracing::warn!(path = %trashed.display(), %error, "a removed layer stays in the trash until the next opening");
        Ok(false)
    }
}

/// What a record says on disk until what it vouches for is there.
pub(crate) fn as_writable<X: Clone>(record: &Record<X>) -> Record<X> {
    let mut record = Record::clone(record);
    record.info.state = LayerState::Writable;
    record
}

pub(crate) fn rollback(cause: Error, cleanup: Result<()>) -> Error {
    match cleanup {
        Ok(()) => cause,
        Err(cleanup) => Error::Rollback { cause: Box::new(cause), cleanup: Box::new(cleanup) },
    }
}
