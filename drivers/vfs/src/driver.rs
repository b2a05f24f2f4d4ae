use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use storage_driver::{
    ApplyStats, Bytes, Capabilities, Change, CopiedUp, CreateOptions, DiffStats, Error, HeldMount, Labels, LayerId,
    LayerInfo, Leftover, MountMode, MountedLayer, Result, Sharing, Status, StorageDriver, Support, Usage,
};
use storage_layer::{
    ApplyOptions, Devices,
    copy::{self, CopyOptions},
    tree,
};
use storage_root::{Root, delete_tree};
use storage_sys::{mount, statfs, userns};

use crate::{NAME, Options, Owners};

/// What this driver keeps in a layer's record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Data {
    /// How the parent was copied.
    copy: String,
    copied_files: u64,
    copied_bytes: Bytes,
}

/// Layers as whole trees, below one root.
#[derive(Debug)]
pub struct Vfs {
    root: Root<Data>,
    options: Options,
    backing: String,
    capabilities: Capabilities,
    in_user_namespace: bool,
}

impl Vfs {
    /// Opens a root, making it if it is not there.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the chosen way to copy does not work there; [`Error::Locked`]; [`Error::Corrupt`].
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        let root: Root<Data> = Root::open(root, NAME, options.durability)?;
        let backing = statfs::of(root.path()).map_err(Error::io("examine", root.path()))?.fs_type;
        let unusable = |why| Error::Unusable { driver: NAME, root: root.path().to_owned(), why };
        // Better now than at the first layer.
        match copy::probe(options.copy, &root.path().join("staging")) {
            Ok(Support::Yes) => {}
            Ok(Support::No(why)) => return Err(unusable(format!("{why}; use copy=copy"))),
            // A full disk says nothing about this driver, and whoever wants to remove layers from it must get in.
            Err(storage_layer::Error::Io { source, .. })
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {}
            // So does another failure of the disk's, but it is told.
            Err(storage_layer::Error::Io { op, path, source }) => return Err(Error::Io { op, path, source }),
            Err(error) => return Err(unusable(error.to_string())),
        }
        let in_user_namespace = userns::is_active();
        let capabilities = capabilities(in_user_namespace);
        root.ready();
        Ok(Self { root, options, backing, capabilities, in_user_namespace })
    }

    fn tree(&self, id: &LayerId) -> PathBuf {
        self.root.layer_dir(id).join("tree")
    }

    fn build(&self, staged: &Path, parent: Option<&LayerId>, id: &LayerId) -> Result<Data> {
        let tree = staged.join("tree");
        fs::create_dir(&tree).map_err(Error::io("create", &tree))?;
        let copy = self.options.copy.to_string();
        let Some(parent) = parent else {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&tree, mode).map_err(Error::io("chmod", &tree))?;
            return Ok(Data { copy, ..Data::default() });
        };
        let skip_privileged_xattrs = self.in_user_namespace;
        let options = CopyOptions { strategy: self.options.copy, skip_privileged_xattrs, ..CopyOptions::default() };
        let stats = copy::tree(&self.tree(parent), &tree, &options).map_err(|error| error.into_driver(id))?;
        Ok(Data { copy, copied_files: stats.files, copied_bytes: stats.allocated })
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

    /// Both trees are directories here, so looking at them needs no mount.
    fn compare<T>(
        &self,
        id: &LayerId,
        look: impl FnOnce(Option<&Path>, &Path) -> storage_layer::Result<T>,
    ) -> Result<T> {
        let info = self.root.stat(id)?;
        let parent = info.parent.as_ref().map(|parent| self.tree(parent));
        let answer = look(parent.as_deref(), &self.tree(id)).map_err(|error| error.into_driver(id));
        // Read without a lock: if the layer was removed meanwhile, what was read may be half of it.
        if self.root.stat(id)?.created != info.created {
            return Err(Error::NotFound { id: id.clone() });
        }
        answer
    }
}

impl StorageDriver for Vfs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn status(&self) -> Status {
        let pairs = [
            ("backing file system", self.backing.clone()),
            ("copy", self.options.copy.to_string()),
            ("owners", if self.options.owners == Owners::Squash { "squash" } else { "keep" }.to_owned()),
            ("sync", if self.options.durability.syncs() { "on" } else { "off" }.to_owned()),
        ];
        Status { pairs: pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
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
            self.build(staged, parent.map(|parent| &parent.info.id), id)
        })
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        match mode {
            MountMode::ReadWrite => self.root.mount(id, mode, |_, _| Ok(self.tree(id)), |_| Ok(())),
            MountMode::ReadOnly => self.root.mount(id, mode, |_, _| self.show_read_only(id), hide),
        }
    }

    fn hold(&self, mounted: MountedLayer) -> Result<HeldMount> {
        self.root.hold(mounted)
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        // Durable together with all its parents.
        self.settle()?;
        let durability = self.root.durability();
        self.root.seal(id, |dir, _| {
            if !durability.syncs() {
                return Ok(());
            }
            // One call for however many files; it also waits for what others have dirtied on this file system.
            let tree = fs::File::open(dir.join("tree")).map_err(Error::io("open", dir))?;
            rustix::fs::syncfs(&tree).map_err(Error::io("sync", dir))
        })
    }

    fn seal_later(&self, id: &LayerId) -> Result<()> {
        self.root.seal_later(id, |_, _| Ok(()))
    }

    fn settle(&self) -> Result<()> {
        let path = self.root.path();
        self.root.settle(|| {
            let root = fs::File::open(path).map_err(Error::io("open", path))?;
            rustix::fs::syncfs(&root).map_err(Error::io("sync", path))
        })
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.root.remove(id, |trashed, _| delete_tree(trashed))
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
        let data = &self.root.get(id)?.driver;
        let held = tree::usage(&self.tree(id)).map_err(|error| error.into_driver(id))?;
        let copied_up = CopiedUp { files: data.copied_files, bytes: data.copied_bytes };
        Ok(Usage { copied_up, ..held })
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        self.compare(id, tree::changes)
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        self.compare(id, |lower, upper| tree::diff(lower, upper, out))
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        let devices = if self.in_user_namespace { Devices::Skip } else { Devices::Create };
        let options = ApplyOptions { devices, owners: self.options.owners, ..Default::default() };
        self.root.with_writable(id, |dir, _| {
            storage_layer::apply(&dir.join("tree"), tar, &options).map_err(|error| error.into_driver(id))
        })
    }

    fn shutdown(&self) -> Result<()> {
        self.root.shutdown()
    }
}

/// Detaches, and removes the mount point: since Linux 3.18 that also ends the mount in every other namespace
/// that still holds it (kernel commit 8ed936b5671b).
fn hide(merged: &Path) -> Result<()> {
    mount::detach(merged).map_err(Error::io("unmount", merged))?;
    fs::remove_dir(merged).map_err(Error::io("remove", merged))
}

fn capabilities(in_user_namespace: bool) -> Capabilities {
    let in_namespace = |what: &str| match in_user_namespace {
        true => Support::No(format!("{what} need root outside a user namespace")),
        false => Support::Yes,
    };
    Capabilities {
        sharing: Sharing::None,
        native_diff: Support::No("a full copy does not tell what was changed since".to_owned()),
        size_limit: Support::No("a full copy has no place of its own for what is added".to_owned()),
        device_nodes: in_namespace("device nodes"),
        privileged_xattrs: in_namespace("trusted.* and security.* xattrs"),
        held_mounts: Support::Yes,
        max_depth: None,
        deviations: BTreeSet::new(),
    }
}
