//! Making, mounting and sealing layers.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use storage_driver::{Bytes, Error, LayerId, LayerState, MountMode, MountedLayer, Result, Usage};
use storage_root::{Record, Root, delete_tree};
use storage_sys::{dm::Suspend, mount};

use crate::{
    Fs, NAME,
    activation::sectors,
    filesystem::{self, Access},
    lost,
    pool::Pool,
    record::{Base, Data, Held},
};

/// The mount point in a layer's directory, and the layer's tree in the file system: what the file system keeps beside,
/// such as `lost+found`, is in no layer.
pub const MERGED: &str = "merged";
pub const TREE: &str = "tree";

/// What a file system of this many bytes does not offer to its users: inode tables, bitmaps, its journal.
const fn overhead(bytes: u64) -> u64 {
    bytes / 40 + (64 << 20)
}

/// What is known of a file system without looking at it.
#[derive(Debug, Clone)]
enum Known {
    Holds(Held),
    /// What was written did not reach the device.
    Lost(String),
}

/// What is known of layers' file systems, by their devices.
#[derive(Debug, Default)]
struct Memory {
    known: Mutex<BTreeMap<u32, Known>>,
}

impl Memory {
    fn get(&self, device: u32) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&device).cloned()
    }

    /// What is lost stays so.
    fn put(&self, device: u32, known: Known) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(all.get(&device), Some(Known::Lost(_))) {
            all.insert(device, known);
        }
    }

    fn forget(&self, device: u32) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&device);
    }
}

/// The layers of one root.
#[derive(Debug)]
pub struct Layers {
    pub root: Root<Data>,
    pub pool: Arc<Pool>,
    memory: Arc<Memory>,
    /// What layers without a parent begin with.
    fs: Fs,
}

impl Layers {
    pub fn new(root: Root<Data>, pool: Pool, fs: Fs) -> Self {
        Self { root, pool: Arc::new(pool), memory: Arc::default(), fs }
    }

    /// A snapshot of the parent, or of the base.
    pub fn build(&self, parent: Option<&Record<Data>>, size: Option<Bytes>) -> Result<Data> {
        self.pool.delete_pending()?;
        self.pool.guard()?;
        let from = match parent {
            Some(parent) => parent.driver.clone(),
            None => self.of_base()?,
        };
        let below = from.holds.unwrap_or_default();
        let limit = size.map(|size| below.bytes + size);
        let needed = limit.map_or(0, |limit| limit.get().saturating_add(overhead(limit.get())));
        let block = self.pool.block_size();
        let larger = sectors(needed) > from.sectors;
        let sectors = if larger { sectors(needed.div_ceil(block).saturating_mul(block)) } else { from.sectors };
        let origin = from.device.number;
        // Sealed origins are read-only, and nobody ever mounts the base: there is nothing to freeze.
        let device = self.pool.create_snapshot(origin, Suspend::Flush)?;
        self.memory.put(device.number, Known::Holds(below));
        Ok(Data { device, sectors, fs: from.fs, origin, below, holds: None, limit, grows: from.grows || larger })
    }

    fn of_base(&self) -> Result<Data> {
        let bases = &self.pool.record().bases;
        let missing = || Error::io("find the base of", self.root.path())(io::Error::from(io::ErrorKind::NotFound));
        let Base { device, sectors, holds } = bases.get(&self.fs).cloned().ok_or_else(missing)?;
        let origin = device.number;
        let (fs, holds) = (self.fs, Some(holds));
        Ok(Data { device, sectors, fs, origin, below: Held::default(), holds, limit: None, grows: false })
    }

    /// Takes a device away whose layer was not made after all.
    pub fn forget(&self, data: &Data) -> Result<()> {
        self.memory.forget(data.device.number);
        self.pool.delete(data.device.number, data.sectors)
    }

    /// Refuses a layer that has lost what was written to it.
    pub fn refuse_lost(&self, id: &LayerId) -> Result<()> {
        if let Some(Known::Lost(why)) = self.memory.get(self.root.get(id)?.driver.device.number) {
            return Err(Error::Lost { id: id.clone(), why });
        }
        lost::refuse(id, &self.root.layer_dir(id))
    }

    pub fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        let data = self.root.get(id)?.driver.clone();
        let (pool, memory) = (self.pool.clone(), self.memory.clone());
        let mount = |record: &Record<Data>, mode: MountMode| {
            if mode == MountMode::ReadWrite {
                self.refuse_lost(id)?;
            }
            let access = match (mode, record.info.state) {
                (MountMode::ReadWrite, _) => Access::Write,
                (MountMode::ReadOnly, LayerState::Writable) => Access::Look,
                (MountMode::ReadOnly, LayerState::Sealed) => Access::Sealed,
            };
            show(&self.pool, &self.root.layer_dir(&record.info.id), &record.driver, access)
        };
        let writable = mode == MountMode::ReadWrite;
        self.root.mount(id, mode, mount, move |tree| hide(&pool, &memory, tree, &data, writable))
    }

    /// Runs `work` on a layer's tree, whose gate is held already.
    pub fn with_mount<T>(
        &self,
        dir: &Path,
        data: &Data,
        access: Access,
        work: impl FnOnce(&Path) -> Result<T>,
    ) -> Result<T> {
        let tree = show(&self.pool, dir, data, access)?;
        let answer = work(&tree);
        let hidden = hide(&self.pool, &self.memory, &tree, data, access == Access::Write);
        match (answer, hidden) {
            (Ok(answer), Ok(())) => Ok(answer),
            (Ok(_), Err(error)) | (Err(error), Ok(())) => Err(error),
            (Err(cause), Err(cleanup)) => Err(Error::Rollback { cause: Box::new(cause), cleanup: Box::new(cleanup) }),
        }
    }

    /// Everything of the layer reaches its device and cannot change there any more.
    pub fn seal(&self, dir: &Path, data: &mut Data) -> Result<()> {
        let number = data.device.number;
        let holds = match self.memory.get(number) {
            Some(Known::Holds(held)) => held,
            _ => self.with_mount(dir, data, Access::Look, filesystem::held)?,
        };
        data.holds = Some(holds);
        let pool = &self.pool;
        let replaced = pool.active.exclusively(number, || {
            // Not mounted any more, and yet active: a process has a file of it open and may go on writing. It keeps the
            // device that it has, and the layer goes on as a snapshot of that, taken while the file system is frozen.
            if pool.active.find(&pool.active.names.thin(number))?.is_none() {
                return Ok(None);
            }
            pool.snapshot_of(number, Suspend::Freeze).map(Some)
        })?;
        if let Some(device) = replaced {
            data.device = device;
            self.memory.put(device.number, Known::Holds(holds));
        }
        if self.root.durability().syncs() { pool.commit() } else { Ok(()) }
    }

    /// Takes away the device that a seal has put another in the place of.
    pub fn replaced(&self, before: &Data, after: &Data) -> Result<()> {
        if before.device == after.device { Ok(()) } else { self.forget(before) }
    }

    pub fn usage(&self, id: &LayerId) -> Result<Usage> {
        let record = self.root.get(id)?;
        let data = &record.driver;
        let holds = match (self.root.mounted_path(id), data.holds) {
            (_, Some(holds)) => holds,
            (Some(tree), None) => {
                // What is not written yet has no block yet.
                filesystem::sync(&tree).map_err(|error| self.pool.explained("write to", error))?;
                filesystem::held(&tree)?
            }
            (None, None) => match self.memory.get(data.device.number) {
                Some(Known::Holds(holds)) => holds,
                _ => {
                    let view = self.mount(id, MountMode::ReadOnly)?;
                    let held = filesystem::held(view.path());
                    view.close()?;
                    let held = held?;
                    self.memory.put(data.device.number, Known::Holds(held));
                    held
                }
            },
        };
        let own = self.pool.own_blocks(data.device.number, data.origin);
        // Read without a lock: it may have been removed meanwhile.
        if self.root.get(id)?.driver.device != data.device {
            return Err(Error::NotFound { id: id.clone() });
        }
        let own = own?;
        let bytes = |blocks: u64| Bytes(blocks.saturating_mul(self.pool.block_size()));
        let mut usage = Usage {
            exclusive: bytes(own.blocks),
            inodes: holds.inodes.saturating_sub(data.below.inodes),
            ..Usage::default()
        };
        if record.info.parent.is_some() {
            usage.copied_up.bytes = bytes(own.instead);
        }
        Ok(usage)
    }

    pub fn remove(&self, id: &LayerId) -> Result<()> {
        self.root.remove(id, |trashed, record| {
            self.forget(&record.driver)?;
            delete_tree(trashed)
        })
    }
}

/// Activates and mounts; the answer is the layer's tree.
fn show(pool: &Pool, dir: &Path, data: &Data, access: Access) -> Result<PathBuf> {
    let merged = dir.join(MERGED);
    match fs::create_dir(&merged) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("create", merged)(error)),
        _ => {}
    }
    let number = data.device.number;
    pool.active.exclusively(number, || {
        let mounted = activate_and_mount(pool, &merged, data, access);
        if mounted.is_err() {
            _ = mount::detach(&merged);
            _ = fs::remove_dir(&merged);
            _ = pool.active.deactivate(number);
        }
        mounted
    })?;
    Ok(merged.join(TREE))
}

fn activate_and_mount(pool: &Pool, merged: &Path, data: &Data, access: Access) -> Result<()> {
    let device = pool.activate(data.device.number, data.sectors, access == Access::Sealed)?;
    data.fs.mount(&device.node, merged, access, pool.discards())?;
    if access == Access::Write {
        let size = data.grows.then_some(Bytes(data.sectors * storage_sys::dm::SECTOR));
        data.fs.prepare(merged, &device.kernel_name(), size, data.limit)?;
    }
    Ok(())
}

/// Unmounts and deactivates. All of it is done, whatever fails; the first failure is told.
fn hide(pool: &Pool, memory: &Memory, tree: &Path, data: &Data, written: bool) -> Result<()> {
    let merged = tree.parent().unwrap_or(tree);
    let number = data.device.number;
    let held = match (written, memory.get(number)) {
        (true, _) => filesystem::sync(merged).and_then(|()| filesystem::held(merged)).map(Known::Holds),
        (false, Some(known)) => Ok(known),
        (false, None) => Ok(Known::Holds(filesystem::held(merged).unwrap_or_default())),
    };
    let mut arrived = Ok(());
    let gone = pool.active.exclusively(number, || {
        // Removing the mount point ends the mount in every other namespace that still holds it (Linux 3.18, kernel
        // commit 8ed936b5671b).
        mount::detach(merged).map_err(Error::io("unmount", merged))?;
        fs::remove_dir(merged).map_err(Error::io("remove", merged))?;
        if written {
            arrived = check_arrived(pool, data);
        }
        pool.active.deactivate(number)
    });
    if let Ok(false) = gone {
        tracing::debug!(
            driver = NAME,
            device = number,
            "a file on it is still open; the device goes when it is closed"
        );
    }
    let held = held.and_then(|known| arrived.map(|()| known)).map_err(|error| pool.explained("write to", error));
    match &held {
        Ok(known) => memory.put(number, known.clone()),
        Err(why) => {
            memory.put(number, Known::Lost(why.to_string()));
            lost::mark(merged.parent().unwrap_or(merged), why);
        }
    }
    held.and(gone).map(|_| ())
}

/// Whether the layer's file system got what was written; while somebody still has a file of it open, nobody can say.
fn check_arrived(pool: &Pool, data: &Data) -> Result<()> {
    match pool.active.idle(data.device.number)? {
        Some(node) => data.fs.check_unmounted(&node),
        None => Ok(()),
    }
}
