use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use storage_driver::{
    ApplyStats, Capabilities, Change, CreateOptions, DiffStats, Error, HeldMount, Labels, LayerId, LayerInfo, Leftover,
    MountMode, MountedLayer, Result, Status, StorageDriver, Support, Usage,
};
use storage_layer::{ApplyOptions, Devices, Whiteouts, by_walk, overlay};
use storage_root::{Root, delete_tree};

use crate::{
    NAME, Options,
    abilities::{capabilities, status},
    layers::{Data, Layers, unmount},
    links::Links,
    probed::known_or_probed,
    size::Sizes,
};

/// Layers as overlayfs stacks, below one root.
#[derive(Debug)]
pub struct Overlay2 {
    layers: Layers,
    capabilities: Capabilities,
    recovered: Vec<Leftover>,
}

impl Overlay2 {
    /// Opens a root, making it if it is not there, and tries by a mount whether overlayfs works on it.
    ///
    /// # Errors
    /// [`Error::Unusable`] with what is missing and the remedy; [`Error::Locked`]; [`Error::Corrupt`].
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        let root: Root<Data> = Root::open(root, NAME, options.durability)?;
        let kernel = known_or_probed(root.path(), &options)?;
        let links = Links::open(root.path())?;
        let mut recovered = root.recovered().to_vec();
        let mut projects = BTreeSet::new();
        // The kernel knows the projects of layers that are not read, too; see `Sizes`.
        if !root.was_at_rest() {
            let mut by_link = BTreeMap::new();
            for layer in root.list()? {
                let record = root.get(&layer.id)?;
                by_link.insert(record.driver.link.clone(), layer.id);
                projects.extend(record.driver.project);
            }
            recovered.extend(links.repair(&by_link)?);
        }
        let sizes = Sizes::new(root.path(), projects);
        let capabilities = capabilities(&kernel, sizes.support(&kernel.backing));
        let layers = Layers { root, links, sizes, options, kernel };
        layers.prepare()?;
        layers.root.ready();
        Ok(Self { layers, capabilities, recovered })
    }

    fn with_upper<T>(
        &self,
        id: &LayerId,
        lowers: &[PathBuf],
        read: impl FnOnce(&Path, &[PathBuf], overlay::XattrNamespace) -> storage_layer::Result<T>,
    ) -> Result<T> {
        let link = self.layers.root.get(id)?.driver.link.clone();
        let namespace = self.layers.kernel.xattr_namespace();
        let answer = read(&self.layers.diff_dir(id), lowers, namespace).map_err(|error| error.into_driver(id));
        // Read without a lock: if the layer was removed meanwhile, what was read may be half of it.
        if self.layers.root.get(id)?.driver.link != link {
            return Err(Error::NotFound { id: id.clone() });
        }
        answer
    }
}

impl StorageDriver for Overlay2 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn status(&self) -> Status {
        status(&self.layers.kernel, &self.layers.options, &self.capabilities)
    }

    fn was_at_rest(&self) -> bool {
        self.layers.root.was_at_rest()
    }

    fn recovered(&self) -> &[Leftover] {
        &self.recovered
    }

    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        if let (Some(_), Support::No(why)) = (options.size, &self.capabilities.size_limit) {
            return Err(Error::Unsupported { driver: NAME, what: "limit a layer's size", why: why.clone() });
        }
        if let (Some(parent), Some(limit)) = (parent, self.capabilities.max_depth) {
            let depth = self.layers.root.get(parent)?.depth + 1;
            if depth > limit {
                return Err(Error::TooDeep { id: id.clone(), driver: NAME, depth, limit });
            }
        }
        let mut made = None;
        let build = |staged: &Path, parent: Option<&_>| {
            let data = self.layers.build(staged, parent, id, options)?;
            made = Some(data.clone());
            Ok(data)
        };
        let created = self.layers.root.create(id, parent, &options.labels, build);
        if let (Err(_), Some(data)) = (&created, &made) {
            self.layers.forget(data);
        }
        created
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        self.layers.root.mount(id, mode, |_, mode| self.layers.mount(id, mode), unmount)
    }

    fn hold(&self, mounted: MountedLayer) -> Result<HeldMount> {
        self.layers.root.hold(mounted)
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        // Durable together with all its parents.
        self.settle()?;
        let durability = self.layers.root.durability();
        self.layers.root.seal(id, |dir, _| {
            // Never mounted writable again; and if sealing fails, the next such mount makes it again.
            delete_tree(&dir.join("work"))?;
            if durability.syncs() { sync_file_system(&dir.join("diff")) } else { Ok(()) }
        })
    }

    fn seal_later(&self, id: &LayerId) -> Result<()> {
        self.layers.root.seal_later(id, |dir, _| delete_tree(&dir.join("work")))
    }

    fn settle(&self) -> Result<()> {
        self.layers.root.settle(|| sync_file_system(self.layers.root.path()))
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.layers.root.remove(id, |trashed, record| {
            self.layers.links.remove(&record.driver.link)?;
            delete_tree(trashed)?;
            // Only now: a layer that gets the same id must not be charged with this one's files.
            if let Some(project) = record.driver.project {
                self.layers.sizes.give_back(project);
            }
            Ok(())
        })
    }

    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        self.layers.root.stat(id)
    }

    fn list(&self) -> Result<Vec<LayerInfo>> {
        self.layers.root.list()
    }

    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.layers.root.set_labels(id, labels)
    }

    fn usage(&self, id: &LayerId) -> Result<Usage> {
        // Lowers only help to tell what was copied up; behind a redirect they cannot be found by name.
        let complete = self.layers.uppers_are_complete(id)?;
        let lowers = if complete { self.layers.lower_dirs(id)? } else { Vec::new() };
        self.with_upper(id, &lowers, overlay::usage)
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        if !self.layers.uppers_are_complete(id)? {
            return by_walk::changes(self, id);
        }
        self.with_upper(id, &self.layers.lower_dirs(id)?, overlay::changes)
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        if !self.layers.uppers_are_complete(id)? {
            return by_walk::diff(self, id, out);
        }
        self.with_upper(id, &self.layers.lower_dirs(id)?, |upper, lowers, namespace| {
            overlay::diff(upper, lowers, namespace, out)
        })
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        let mut options = ApplyOptions { owners: self.layers.options.owners, ..ApplyOptions::default() };
        if self.layers.kernel.in_user_namespace {
            options.devices = Devices::Skip;
        }
        let apply = |root: &Path, tar: &mut (dyn Read + Send), options: &ApplyOptions| {
            storage_layer::apply(root, tar, options).map_err(|error| error.into_driver(id))
        };
        if !self.layers.uppers_are_complete(id)? {
            let through_a_mount = |merged: &Path| apply(merged, tar, &options);
            return self.layers.root.with_writable(id, |_, _| self.layers.with_mount(id, through_a_mount));
        }
        options.whiteouts = Whiteouts::Overlay(self.layers.kernel.xattr_namespace());
        options.lowers = self.layers.lower_dirs(id)?;
        self.layers.root.with_writable(id, |dir, _| apply(&dir.join("diff"), tar, &options))
    }

    fn shutdown(&self) -> Result<()> {
        self.layers.root.shutdown()
    }
}

/// syncfs(2) rather than fsync(2) of each file: one call for however many files and directories, none is missed
/// that nobody remembers, and the journal is committed once. The price is that it also waits for what others have
/// dirtied on the same file system.
fn sync_file_system(path: &Path) -> Result<()> {
    let dir = std::fs::File::open(path).map_err(Error::io("open", path))?;
    rustix::fs::syncfs(&dir).map_err(Error::io("sync", path))
}
