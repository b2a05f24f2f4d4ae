use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use storage_driver::{
    ApplyStats, Capabilities, Change, CreateOptions, DiffStats, Error, Labels, LayerId, LayerInfo, LayerState,
    Leftover, MountMode, MountedLayer, Result, Status, StorageDriver, Support, Usage,
};
use storage_layer::{ApplyOptions, Devices, tree};
use tempfile::TempDir;

use crate::{
    layers::{Layers, in_use},
    mounting::{Mount, Scratch},
    probe,
    read_back::read_back,
    tree::Tree,
    usage::usage,
};

const NAME: &str = "memory";

/// A [`StorageDriver`] that keeps its layers in memory.
#[derive(Debug)]
pub struct MemoryDriver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    scratch: Scratch,
    capabilities: Capabilities,
    layers: Mutex<Layers>,
}

impl MemoryDriver {
    /// A driver without layers; mounted ones become files in a directory of its own within `base`.
    ///
    /// # Errors
    /// [`Error::Io`] when that directory cannot be made.
    pub fn open(base: &Path) -> Result<Self> {
        let base = std::fs::canonicalize(base).map_err(Error::io("open", base))?;
        let scratch = Scratch::new(&base)?;
        let capabilities = probe::capabilities(scratch.path());
        Ok(Self { inner: Arc::new(Inner { scratch, capabilities, layers: Mutex::default() }) })
    }
}

impl Inner {
    fn layers(&self) -> MutexGuard<'_, Layers> {
        // The table is consistent between statements, so a panic elsewhere does not spoil it.
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `operation` while no other operation on this layer runs.
    fn exclusively<T>(&self, id: &LayerId, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        loop {
            let gate = self.layers().get(id)?.gate.clone();
            let _held = gate.lock().unwrap_or_else(PoisonError::into_inner);
            // While we waited, the layer may have been removed and its id given to another.
            if Arc::ptr_eq(&gate, &self.layers().get(id)?.gate) {
                return operation();
            }
        }
    }

    /// Takes one more reference to a mounted layer; `None` when it is not mounted.
    fn refer(&self, id: &LayerId, mode: MountMode) -> Result<Option<PathBuf>> {
        let mut layers = self.layers();
        let layer = layers.get_mut(id)?;
        if mode == MountMode::ReadWrite && layer.info.state == LayerState::Sealed {
            return Err(Error::Sealed { id: id.clone() });
        }
        match &mut layer.mounted {
            None => Ok(None),
            Some(mounted) if mounted.mode != mode => Err(in_use(id, mounted.mode)),
            Some(mounted) => {
                mounted.references += 1;
                Ok(Some(mounted.path().to_owned()))
            }
        }
    }

    fn give_back(&self, id: &LayerId) -> Result<()> {
        self.exclusively(id, || {
            let last = {
                let mut layers = self.layers();
                let layer = layers.get_mut(id)?;
                let Some(mounted) = &mut layer.mounted else { return Ok(()) };
                mounted.references -= 1;
                if mounted.references > 0 {
                    return Ok(());
                }
                layer.mounted.take()
            };
            let Some(mounted) = last else { return Ok(()) };
            let kept = match mounted.mode {
                MountMode::ReadOnly => Ok(()),
                MountMode::ReadWrite => self.keep(id, mounted.path()),
            };
            let closed = mounted.close();
            kept.and(closed)
        })
    }

    /// Reads a layer's files back into memory.
    fn keep(&self, id: &LayerId, files: &Path) -> Result<()> {
        let tree = Arc::new(read_back(files)?);
        self.layers().get_mut(id)?.tree = tree;
        Ok(())
    }

    /// What a layer holds at this moment, mounted or not.
    fn snapshot(&self, id: &LayerId) -> Result<Arc<Tree>> {
        self.exclusively(id, || {
            let (tree, live) = {
                let layers = self.layers();
                let layer = layers.get(id)?;
                let live = layer.mounted.as_ref().filter(|mounted| mounted.mode == MountMode::ReadWrite);
                (layer.tree.clone(), live.map(|mounted| mounted.path().to_owned()))
            };
            live.map_or(Ok(tree), |files| Ok(Arc::new(read_back(&files)?)))
        })
    }

    fn parent_tree(&self, id: &LayerId) -> Result<Option<Arc<Tree>>> {
        let layers = self.layers();
        let parent = layers.get(id)?.info.parent.as_ref();
        parent.map(|parent| Ok(layers.get(parent)?.tree.clone())).transpose()
    }

    /// Lays a layer and its parent out side by side for `compare`.
    fn side_by_side<T>(
        &self,
        id: &LayerId,
        compare: impl FnOnce(Option<&Path>, &Path) -> storage_layer::Result<T>,
    ) -> Result<T> {
        let lower = self.parent_tree(id)?.map(|tree| self.scratch.files(&tree)).transpose()?;
        let upper = self.scratch.files(&*self.snapshot(id)?)?;
        compare(lower.as_ref().map(TempDir::path), upper.path()).map_err(|error| error.into_driver(id))
    }
}

impl StorageDriver for MemoryDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    fn status(&self) -> Status {
        let pairs = [("scratch directory".to_owned(), self.inner.scratch.path().display().to_string())];
        Status { pairs: pairs.into() }
    }

    fn recovered(&self) -> &[Leftover] {
        &[]
    }

    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        if let (Some(_), Support::No(why)) = (options.size, &self.inner.capabilities.size_limit) {
            return Err(Error::Unsupported { driver: NAME, what: "limit a layer's size", why: why.clone() });
        }
        self.inner.layers().create(id, parent, options)
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        let path = self.inner.exclusively(id, || {
            if let Some(path) = self.inner.refer(id, mode)? {
                return Ok(path);
            }
            let tree = self.inner.layers().get(id)?.tree.clone();
            let mounted = Mount::new(self.inner.scratch.files(&tree)?, mode)?;
            let path = mounted.path().to_owned();
            self.inner.layers().get_mut(id)?.mounted = Some(mounted);
            Ok(path)
        })?;
        let (inner, layer) = (self.inner.clone(), id.clone());
        Ok(MountedLayer::new(id.clone(), mode, path, Box::new(move || inner.give_back(&layer))))
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        self.inner.exclusively(id, || self.inner.layers().seal(id))
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.inner.exclusively(id, || self.inner.layers().remove(id))
    }

    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        Ok(self.inner.layers().get(id)?.info.clone())
    }

    fn list(&self) -> Result<Vec<LayerInfo>> {
        Ok(self.inner.layers().list())
    }

    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        let mut layers = self.inner.layers();
        let layer = layers.get_mut(id)?;
        layer.info.labels.clone_from(labels);
        layer.touch();
        Ok(())
    }

    fn usage(&self, id: &LayerId) -> Result<Usage> {
        let lower = self.inner.parent_tree(id)?;
        Ok(usage(lower.as_deref(), &*self.inner.snapshot(id)?))
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        self.inner.side_by_side(id, tree::changes)
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        self.inner.side_by_side(id, |lower, upper| tree::diff(lower, upper, out))
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        let inner = &self.inner;
        let devices = if inner.capabilities.device_nodes.is_yes() { Devices::Create } else { Devices::Skip };
        let options = ApplyOptions { devices, ..ApplyOptions::default() };
        inner.exclusively(id, || {
            let tree = {
                let mut layers = inner.layers();
                if layers.get(id)?.info.state == LayerState::Sealed {
                    return Err(Error::Sealed { id: id.clone() });
                }
                layers.unmounted(id)?.tree.clone()
            };
            let files = inner.scratch.files(&tree)?;
            let stats = storage_layer::apply(files.path(), tar, &options).map_err(|error| error.into_driver(id))?;
            inner.keep(id, files.path())?;
            Ok(stats)
        })
    }

    fn shutdown(&self) -> Result<()> {
        self.inner.layers().refuse_any_mounted()
    }
}
