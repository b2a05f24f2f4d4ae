use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use storage_driver::{
    ApplyStats, Capabilities, Change, CreateOptions, Deviation, DiffStats, Error, Labels, LayerId, LayerInfo, Leftover,
    MountMode, MountedLayer, Result, Sharing, Status, StorageDriver, Support, Usage,
};
use storage_layer::{
    ApplyOptions, Devices, Whiteouts, by_walk,
    copy::{self, CopyOptions, Filter, Keep},
    overlay,
};
use storage_root::{Record, Root, delete_tree};
use storage_sys::mount;

use crate::{
    NAME, Options,
    features::{Features, mount_options},
    links::Links,
    mounting::{Dir, Stack, lowers_in_a_page},
    probe::{Kernel, probe},
    size::Sizes,
};

/// The kernel's own limit on lower layers (fs/overlayfs, `OVL_MAX_STACK`).
const KERNEL_LIMIT: usize = 500;

/// What this driver keeps in a layer's record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Data {
    link: String,
    #[serde(flatten)]
    features: Features,
    /// Project id of the layer's quota, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<u32>,
}

type Layer = Record<Data>;

/// Layers as overlayfs stacks, below one root.
#[derive(Debug)]
pub struct Overlay2 {
    root: Root<Data>,
    links: Arc<Links>,
    options: Options,
    kernel: Kernel,
    capabilities: Capabilities,
    recovered: Vec<Leftover>,
    sizes: Sizes,
}

impl Overlay2 {
    /// Opens a root, making it if it is not there, and tries by a mount whether overlayfs works on it.
    ///
    /// # Errors
    /// [`Error::Unusable`] with what is missing and the remedy; [`Error::Locked`]; [`Error::Corrupt`].
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        let root: Root<Data> = Root::open(root, NAME, options.durability)?;
        let kernel = probe(root.path(), &options)?;
        let links = Links::open(root.path())?;
        let layers = root.list();
        let mut by_link = BTreeMap::new();
        let mut projects = BTreeSet::new();
        for layer in layers {
            let record = root.get(&layer.id)?;
            by_link.insert(record.driver.link.clone(), layer.id);
            projects.extend(record.driver.project);
        }
        let mut recovered = root.recovered().to_vec();
        recovered.extend(links.repair(&by_link)?);
        let sizes = Sizes::new(root.path(), projects);
        let capabilities = capabilities(&options, &kernel, sizes.support());
        Ok(Self { root, links: Arc::new(links), options, kernel, capabilities, recovered, sizes })
    }

    fn diff_dir(&self, id: &LayerId) -> PathBuf {
        self.root.layer_dir(id).join("diff")
    }

    fn lower_dirs(&self, id: &LayerId) -> Result<Vec<PathBuf>> {
        Ok(self.root.chain(id)?.iter().skip(1).map(|layer| self.diff_dir(&layer.info.id)).collect())
    }

    fn limit(&self) -> u32 {
        self.capabilities.max_depth.unwrap_or(u32::MAX)
    }

    /// Fills the staged directory of a new layer.
    fn build(&self, staged: &Path, parent: Option<&Layer>, id: &LayerId, options: &CreateOptions) -> Result<Data> {
        let diff = staged.join("diff");
        fs::create_dir(&diff).map_err(Error::io("create", &diff))?;
        match parent {
            None => {
                let mode = fs::Permissions::from_mode(0o755);
                fs::set_permissions(&diff, mode).map_err(Error::io("chmod", &diff))?;
            }
            Some(parent) => {
                let below = self.diff_dir(&parent.info.id);
                copy_root_attributes(&below, &diff, self.kernel.in_user_namespace, id)?;
            }
        }
        let work = staged.join("work");
        fs::DirBuilder::new().mode(0o700).create(&work).map_err(Error::io("create", &work))?;
        let project = options.size.map(|size| self.sizes.limit(&[&diff, &work], size)).transpose()?;
        let features = Features::of_new_layer(&self.options, parent.map(|parent| parent.driver.features));
        Ok(Data { link: self.links.add(id)?, features, project })
    }

    fn mount_layer(&self, id: &LayerId, mode: MountMode) -> Result<PathBuf> {
        let chain = self.root.chain(id)?;
        let merged = self.root.layer_dir(id).join("merged");
        match fs::create_dir(&merged) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create", &merged)(error));
            }
            _ => {}
        }
        self.mount_chain(&chain, mode, &merged).inspect_err(|_| {
            let _ = fs::remove_dir(&merged);
        })?;
        Ok(merged)
    }

    fn mount_chain(&self, chain: &[Arc<Layer>], mode: MountMode, merged: &Path) -> Result<()> {
        let diff = self.diff_dir(&chain[0].info.id);
        if let [_] = chain {
            // overlayfs needs two layers; one alone shows what its directory holds.
            return match mode {
                MountMode::ReadWrite => mount::bind(&diff, merged),
                MountMode::ReadOnly => mount::bind_read_only(&diff, merged),
            }
            .map_err(Error::io("mount", merged));
        }
        let writable = mode == MountMode::ReadWrite;
        if writable {
            forget_volatile(&diff)?;
        }
        let mut dirs: Vec<_> = chain
            .iter()
            .map(|layer| Dir { diff: self.short_enough(&layer.info.id, &layer.driver.link), link: &layer.driver.link })
            .collect();
        let upper = writable.then(|| Dir { diff, ..dirs.remove(0) });
        let features: Vec<_> = chain.iter().map(|layer| layer.driver.features).collect();
        let options = mount_options(&features, writable, &self.options, &self.kernel);
        let stack = Stack { lowers: dirs, upper, options };
        if self.kernel.context {
            stack.mount_by_context(merged)
        } else {
            stack.mount_by_page(self.links.directory(), merged)
        }
    }

    /// A path that one fsconfig(2) string can hold, if there is one.
    fn short_enough(&self, id: &LayerId, link: &str) -> PathBuf {
        let direct = self.diff_dir(id);
        if direct.as_os_str().len() < 255 { direct } else { self.links.path(link) }
    }

    fn with_upper<T>(
        &self,
        id: &LayerId,
        read: impl FnOnce(&Path, &[PathBuf]) -> storage_layer::Result<T>,
    ) -> Result<T> {
        read(&self.diff_dir(id), &self.lower_dirs(id)?).map_err(|error| error.into_driver(id))
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
        let on_off = |on| if on { "on" } else { "off" };
        let pairs = [
            ("backing file system", self.kernel.backing.as_str()),
            ("mount api", if self.kernel.context { "new" } else { "legacy" }),
            ("xattrs", if self.kernel.in_user_namespace { "user.overlay.*" } else { "trusted.overlay.*" }),
            ("index", if self.kernel.knows_index { "off" } else { "unknown to the kernel" }),
            ("redirect_dir", on_off(self.options.redirect_dir)),
            ("metacopy", on_off(self.options.metacopy)),
            ("volatile", on_off(self.options.volatile)),
            ("native diff", if self.capabilities.native_diff.is_yes() { "yes" } else { "no" }),
            ("sync", on_off(self.options.durability.syncs())),
        ];
        let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Status { pairs }
    }

    fn recovered(&self) -> &[Leftover] {
        &self.recovered
    }

    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        if let (Some(_), Support::No(why)) = (options.size, &self.capabilities.size_limit) {
            return Err(Error::Unsupported { driver: NAME, what: "limit a layer's size", why: why.clone() });
        }
        if let Some(parent) = parent {
            let (depth, limit) = (self.root.get(parent)?.depth + 1, self.limit());
            if depth > limit {
                return Err(Error::TooDeep { id: id.clone(), driver: NAME, depth, limit });
            }
        }
        self.root.create(id, parent, &options.labels, |staged, parent| self.build(staged, parent, id, options))
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        self.root.mount(id, mode, |_, mode| self.mount_layer(id, mode), unmount)
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        let durability = self.root.durability();
        self.root.seal(id, |dir, _| {
            let diff = dir.join("diff");
            if durability.syncs() {
                sync_file_system(&diff)?;
            }
            // Never mounted writable again.
            delete_tree(&dir.join("work"))
        })
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.root.remove(id, |trashed, record| {
            self.links.remove(&record.driver.link)?;
            if let Some(project) = record.driver.project {
                self.sizes.give_back(project);
            }
            delete_tree(trashed)
        })
    }

    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        self.root.stat(id)
    }

    fn list(&self) -> Result<Vec<LayerInfo>> {
        Ok(self.root.list())
    }

    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.root.set_labels(id, labels)
    }

    fn usage(&self, id: &LayerId) -> Result<Usage> {
        self.with_upper(id, |upper, lowers| overlay::usage(upper, lowers, self.kernel.xattr_namespace()))
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        if !self.root.get(id)?.driver.features.upper_is_complete() {
            return by_walk::changes(self, id);
        }
        self.with_upper(id, |upper, lowers| overlay::changes(upper, lowers, self.kernel.xattr_namespace()))
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        if !self.root.get(id)?.driver.features.upper_is_complete() {
            return by_walk::diff(self, id, out);
        }
        self.with_upper(id, |upper, lowers| overlay::diff(upper, lowers, self.kernel.xattr_namespace(), out))
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        let mut options = ApplyOptions::default();
        if self.kernel.in_user_namespace {
            options.devices = Devices::Skip;
        }
        if !self.root.get(id)?.driver.features.upper_is_complete() {
            return by_walk::apply(self, id, tar, &options);
        }
        options.whiteouts = Whiteouts::Overlay(self.kernel.xattr_namespace());
        options.lowers = self.lower_dirs(id)?;
        self.root.with_writable(id, |dir, _| {
            storage_layer::apply(&dir.join("diff"), tar, &options).map_err(|error| error.into_driver(id))
        })
    }

    fn shutdown(&self) -> Result<()> {
        self.root.shutdown()
    }
}

fn capabilities(options: &Options, kernel: &Kernel, size_limit: Support) -> Capabilities {
    let native_diff = if Features::of_new_layer(options, None).upper_is_complete() {
        Support::Yes
    } else {
        Support::No("redirect_dir or metacopy is on, so the upper directory is not the whole change".to_owned())
    };
    let mut deviations = BTreeSet::from([Deviation::StaleReadDescriptor, Deviation::HardLinkBreaks]);
    if !options.redirect_dir {
        deviations.insert(Deviation::RenameParentDirectory);
    }
    let in_namespace = |what: &str| match kernel.in_user_namespace {
        true => Support::No(format!("{what} need root outside a user namespace")),
        false => Support::Yes,
    };
    let every_option = ["index=off", "redirect_dir=nofollow", "metacopy=off", "userxattr", "volatile"];
    let limit = if kernel.context { KERNEL_LIMIT } else { lowers_in_a_page(&every_option).min(KERNEL_LIMIT) };
    Capabilities {
        sharing: Sharing::File,
        native_diff,
        size_limit,
        device_nodes: in_namespace("device nodes"),
        privileged_xattrs: in_namespace("trusted.* and security.* xattrs"),
        max_depth: u32::try_from(limit).ok(),
        deviations,
    }
}

/// Detaches, and removes the mount point: since Linux 3.18 that also ends the mount in every other namespace
/// that still holds it (kernel commit 8ed936b5671b).
fn unmount(merged: &Path) -> Result<()> {
    mount::detach(merged).map_err(Error::io("unmount", merged))?;
    fs::remove_dir(merged).map_err(Error::io("remove", merged))
}

/// After a volatile mount the kernel leaves a mark and refuses the next mount until it is gone
/// (overlayfs.rst, "Volatile mount").
fn forget_volatile(diff: &Path) -> Result<()> {
    delete_tree(&diff.with_file_name("work").join("work/incompat/volatile"))
}

/// syncfs(2): one call for however many files, and no list of which of them are dirty is needed.
fn sync_file_system(path: &Path) -> Result<()> {
    let dir = fs::File::open(path).map_err(Error::io("open", path))?;
    rustix::fs::syncfs(&dir).map_err(Error::io("sync", path))
}

/// Starts the root of a layer as its parent's is: the merged root shows the upper's own attributes, so owner, mode,
/// times, ACLs and other xattrs must be there too.
fn copy_root_attributes(from: &Path, to: &Path, in_user_namespace: bool, id: &LayerId) -> Result<()> {
    let nothing_below: Filter<'_> = &|_, _| Keep::No;
    let options = CopyOptions {
        filter: Some(nothing_below),
        skip_privileged_xattrs: in_user_namespace,
        threads: 1,
        ..CopyOptions::default()
    };
    copy::tree(from, to, &options).map(|_| ()).map_err(|error| error.into_driver(id))
}
