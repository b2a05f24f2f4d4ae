use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use storage_driver::{
    ApplyStats, Bytes, Capabilities, Change, CreateOptions, DiffStats, Error, HeldMount, Labels, LayerId, LayerInfo,
    Leftover, MountMode, MountedLayer, Result, Sharing, Status, StorageDriver, Support, Usage,
};
use storage_layer::{ApplyOptions, since, tree};
use storage_root::{Record, Root};
use storage_sys::{
    btrfs::{self, quota::Mode},
    mount,
};

use crate::{
    DiffBy, NAME, Options, Owners, Quota, TREE, exclusive, generation::Generation, nested, place, trash::Trash,
};

/// What this driver keeps in a layer's record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Data {
    /// What the layer may hold beyond its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<Bytes>,
    /// Everything in it was on disk when it was sealed.
    #[serde(default)]
    committed: bool,
}

/// Layers as subvolumes, below one root.
#[derive(Debug)]
pub struct Btrfs {
    root: Root<Data>,
    options: Options,
    quota: Option<Mode>,
    is_subvolume: bool,
    trash: Trash,
    capabilities: Capabilities,
}

impl Btrfs {
    /// Opens a root, making it if it is not there: as a subvolume of its own, also in place of an empty directory.
    ///
    /// # Errors
    /// [`Error::Unusable`] where it is not on btrfs, or without root; [`Error::Locked`]; [`Error::Corrupt`].
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        place::prepare(root)?;
        let trash = Trash::default();
        let root: Root<Data> = Root::open_with(root, NAME, options.durability, &|layer| trash.delete(layer))?;
        let path = root.path();
        let dir = File::open(path).map_err(Error::io("open", path))?;
        let examine = || Error::io("examine", path);
        let is_subvolume = btrfs::is_subvolume(&dir).map_err(examine())?;
        let mut quota = btrfs::quota::mode(&dir).map_err(examine())?;
        if options.quota == Quota::On {
            quota = Some(own_quotas(&dir, quota).map_err(Error::io("switch on quotas for", path))?);
        }
        let block = btrfs::geometry(&dir).map_err(examine())?.sector;
        let capabilities = capabilities(&options, quota, block, path);
        root.ready();
        Ok(Self { root, options, quota, is_subvolume, trash, capabilities })
    }

    fn tree(&self, id: &LayerId) -> PathBuf {
        self.root.layer_dir(id).join(TREE)
    }

    fn build(&self, staged: &Path, parent: Option<&LayerId>, limit: Option<Bytes>) -> Result<Data> {
        let tree = staged.join(TREE);
        let make = || -> io::Result<()> {
            let dir = File::open(staged)?;
            if let Some(parent) = parent {
                return btrfs::snapshot(File::open(self.tree(parent))?, dir, OsStr::new(TREE), false);
            }
            btrfs::create(dir, OsStr::new(TREE))?;
            fs::set_permissions(&tree, fs::Permissions::from_mode(0o755))
        };
        make().map_err(Error::io("make the subvolume", &tree))?;
        if let Some(limit) = limit
            && let Err(error) = set_limit(&tree, limit)
        {
            return Err(match self.trash.delete(staged) {
                Ok(()) => error,
                Err(cleanup) => Error::Rollback { cause: Box::new(error), cleanup: Box::new(cleanup) },
            });
        }
        Ok(Data { limit, committed: false })
    }

    /// A crash while the layer was sealed may have left it read-only; a limit is gone when quotas were off meanwhile.
    fn make_writable(&self, tree: &Path, data: &Data) -> Result<()> {
        let thaw = || btrfs::set_read_only(File::open(tree)?, false);
        thaw().map_err(Error::io("make writable", tree))?;
        data.limit.map_or(Ok(()), |limit| set_limit(tree, limit))
    }

    fn show_read_only(&self, id: &LayerId) -> Result<PathBuf> {
        let merged = self.root.layer_dir(id).join("merged");
        match fs::create_dir(&merged) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create", merged)(error));
            }
            _ => {}
        }
        let bound = mount::bind_read_only(&self.tree(id), &merged).map_err(Error::io("mount", &merged));
        bound.inspect_err(|_| _ = fs::remove_dir(&merged))?;
        Ok(merged)
    }

    /// Compares a layer's tree with its parent's. Both are directories here, so looking at them needs no mount.
    fn compare<T>(&self, id: &LayerId, look: impl FnOnce(&Trees) -> storage_layer::Result<T>) -> Result<T> {
        let record = self.root.get(id)?;
        let answer = self.trees(id, &record).and_then(|trees| look(&trees).map_err(|error| error.into_driver(id)));
        // Read without a lock: if the layer was removed meanwhile, what was read may be half of it.
        if self.root.stat(id)?.created != record.info.created {
            return Err(Error::NotFound { id: id.clone() });
        }
        answer
    }

    fn trees(&self, id: &LayerId, record: &Record<Data>) -> Result<Trees> {
        let upper = self.tree(id);
        let Some(lower) = record.info.parent.as_ref().map(|parent| self.tree(parent)) else {
            return Ok(Trees { lower: None, upper, generation: None });
        };
        let ask = || -> io::Result<Option<Generation>> {
            if self.options.diff == DiffBy::Walk {
                return Ok(None);
            }
            let generation = Generation::of(&lower, &upper)?;
            if let Some(generation) = &generation
                && !record.driver.committed
            {
                generation.commit()?;
            }
            Ok(generation)
        };
        let generation = ask().map_err(Error::io("ask for the changes in", &upper))?;
        Ok(Trees { lower: Some(lower), upper, generation })
    }
}

/// A layer's tree and its parent's, and how they can be compared.
struct Trees {
    lower: Option<PathBuf>,
    upper: PathBuf,
    generation: Option<Generation>,
}

impl StorageDriver for Btrfs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn status(&self) -> Status {
        let quota = match self.quota {
            None => "off",
            Some(Mode::Full) => "full",
            Some(Mode::Simple) => "simple",
        };
        let pairs = [
            ("backing file system", NAME),
            ("diff", if self.options.diff == DiffBy::Walk { "walk" } else { "generation" }),
            ("quota", quota),
            ("root", if self.is_subvolume { "subvolume" } else { "directory" }),
            ("owners", if self.options.owners == Owners::Squash { "squash" } else { "keep" }),
            ("sync", if self.options.durability.syncs() { "on" } else { "off" }),
        ];
        Status { pairs: pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    fn was_at_rest(&self) -> bool {
        self.root.was_at_rest()
    }

    fn recovered(&self) -> &[Leftover] {
        self.root.recovered()
    }

    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        if let (Some(_), Support::No(why)) = (options.size, &self.capabilities.size_limit) {
            return Err(Error::Unsupported { driver: NAME, what: "limit a layer's size", why: why.clone() });
        }
        self.root.create(id, parent, &options.labels, |staged, parent| {
            self.build(staged, parent.map(|parent| &parent.info.id), options.size)
        })
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        match mode {
            MountMode::ReadOnly => self.root.mount(id, mode, |_, _| self.show_read_only(id), hide),
            MountMode::ReadWrite => {
                let show = |record: &Record<Data>, _| {
                    let tree = self.tree(id);
                    self.make_writable(&tree, &record.driver)?;
                    Ok(tree)
                };
                self.root.mount(id, mode, show, |_| Ok(()))
            }
        }
    }

    fn hold(&self, mounted: MountedLayer) -> Result<HeldMount> {
        self.root.hold(mounted)
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        // Durable together with all its parents.
        self.settle()?;
        let durability = self.root.durability();
        self.root.seal(id, |dir, data| {
            let path = dir.join(TREE);
            let tree = File::open(&path).map_err(Error::io("open", &path))?;
            nested::flatten(&path, id)?;
            btrfs::set_read_only(&tree, true).map_err(Error::io("make read-only", &path))?;
            if durability.syncs()
                && let Err(error) = rustix::fs::syncfs(&tree)
            {
                let cause = Error::io("sync", &path)(error);
                return Err(match btrfs::set_read_only(&tree, false).map_err(Error::io("make writable", &path)) {
                    Ok(()) => cause,
                    Err(cleanup) => Error::Rollback { cause: Box::new(cause), cleanup: Box::new(cleanup) },
                });
            }
            data.committed = durability.syncs();
            Ok(())
        })
    }

    fn seal_later(&self, id: &LayerId) -> Result<()> {
        self.root.seal_later(id, |dir, data| {
            let path = dir.join(TREE);
            let tree = File::open(&path).map_err(Error::io("open", &path))?;
            nested::flatten(&path, id)?;
            btrfs::set_read_only(&tree, true).map_err(Error::io("make read-only", &path))?;
            // It would be said before it is so.
            data.committed = false;
            Ok(())
        })
    }

    fn settle(&self) -> Result<()> {
        let path = self.root.path();
        self.root.settle(|| {
            let root = File::open(path).map_err(Error::io("open", path))?;
            rustix::fs::syncfs(&root).map_err(Error::io("sync", path))
        })
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.root.remove(id, |trashed, _| self.trash.delete(trashed))
    }

    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        self.root.stat(id)
    }

    fn list(&self) -> Result<Vec<LayerInfo>> {
        self.root.list()
    }

    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.root.set_labels(id, labels)
    }

    fn usage(&self, id: &LayerId) -> Result<Usage> {
        let has_parent = self.root.get(id)?.info.parent.is_some();
        let tree = self.tree(id);
        exclusive::usage(&tree, has_parent).map_err(Error::io("count what belongs to", &tree))
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        self.compare(id, |trees| match trees {
            Trees { lower: Some(lower), upper, generation: Some(generation) } => {
                since::changes(lower, upper, generation)
            }
            Trees { lower, upper, .. } => tree::changes(lower.as_deref(), upper),
        })
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        self.compare(id, |trees| match trees {
            Trees { lower: Some(lower), upper, generation: Some(generation) } => {
                since::diff(lower, upper, generation, out)
            }
            Trees { lower, upper, .. } => tree::diff(lower.as_deref(), upper, out),
        })
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        let options = ApplyOptions { owners: self.options.owners, ..Default::default() };
        self.root.with_writable(id, |dir, record| {
            let tree = dir.join(TREE);
            self.make_writable(&tree, &record.driver)?;
            storage_layer::apply(&tree, tar, &options).map_err(|error| error.into_driver(id))
        })
    }

    /// As `btrfs subvolume sync`: the cleaner, which the kernel else wakes up with a commit by the clock, works at once.
    fn wait_for_space(&self) -> Result<()> {
        self.trash.wait(self.root.path())
    }

    fn shutdown(&self) -> Result<()> {
        self.root.shutdown()?;
        self.wait_for_space()
    }
}

/// Quotas that are this driver's to manage: they are on, and groups that killed processes left are gone.
fn own_quotas(dir: &File, mode: Option<Mode>) -> io::Result<Mode> {
    match mode {
        None => btrfs::quota::enable(dir),
        Some(mode) => btrfs::quota::forget_stale(dir).map(|()| mode),
    }
}

fn set_limit(tree: &Path, limit: Bytes) -> Result<()> {
    let set = || btrfs::quota::limit(File::open(tree)?, limit.get());
    set().map_err(Error::io("limit the size of", tree))
}

/// Detaches, and removes the mount point: since Linux 3.18 that also ends the mount in every other namespace
/// that still holds it (kernel commit 8ed936b5671b).
fn hide(merged: &Path) -> Result<()> {
    mount::detach(merged).map_err(Error::io("unmount", merged))?;
    fs::remove_dir(merged).map_err(Error::io("remove", merged))
}

fn capabilities(options: &Options, quota: Option<Mode>, block: u32, root: &Path) -> Capabilities {
    Capabilities {
        sharing: Sharing::Block(block.into()),
        native_diff: match options.diff {
            DiffBy::Generation => Support::Yes,
            DiffBy::Walk => Support::No("diff=walk was asked for".to_owned()),
        },
        size_limit: match quota {
            Some(_) => Support::Yes,
            None => Support::No(format!(
                "quotas are off on the file system of {0}, all of which they would slow down; switch them on with `btrfs \
                 quota enable --simple {0}` (without --simple before Linux 6.7), or with the option quota=on",
                root.display()
            )),
        },
        device_nodes: Support::Yes,
        privileged_xattrs: Support::Yes,
        held_mounts: Support::Yes,
        max_depth: None,
        deviations: BTreeSet::new(),
    }
}
