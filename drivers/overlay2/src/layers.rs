//! How a layer is made and mounted.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use storage_driver::{CreateOptions, Error, LayerId, MountMode, Result};
use storage_layer::copy::{self, CopyOptions};
use storage_root::{Record, Root, delete_tree};
use storage_sys::mount;

use crate::{
    Options,
    features::{Features, mount_options},
    links::Links,
    mounting::{Dir, Stack},
    probe::Kernel,
    size::Sizes,
};

/// A directory in which nothing ever is: what a layer without a parent is mounted on.
const EMPTY: &str = "empty";

/// What this driver keeps in a layer's record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Data {
    /// Its name in `l/`.
    pub link: String,
    #[serde(flatten)]
    pub features: Features,
    /// Project id of the layer's quota, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<u32>,
    /// Its writable mounts are volatile: what is written to it is brought to disk when it is sealed, and not before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scratch: bool,
}

pub type Layer = Record<Data>;

/// All layers of a root, and what is needed to make and mount them.
#[derive(Debug)]
pub struct Layers {
    pub root: Root<Data>,
    pub links: Links,
    pub sizes: Sizes,
    pub options: Options,
    pub kernel: Kernel,
}

impl Layers {
    /// Makes what all layers share.
    pub fn prepare(&self) -> Result<()> {
        make_dir(&self.root.path().join(EMPTY), 0o755)
    }

    pub fn diff_dir(&self, id: &LayerId) -> PathBuf {
        self.root.layer_dir(id).join("diff")
    }

    /// The directories below a layer's own, topmost first.
    pub fn lower_dirs(&self, id: &LayerId) -> Result<Vec<PathBuf>> {
        Ok(self.root.chain(id)?.iter().skip(1).map(|layer| self.diff_dir(&layer.info.id)).collect())
    }

    /// Whether upper directories alone tell how a layer differs from its parent. Those of its parents count too:
    /// with a redirect in one of them, what is below a name of the upper is elsewhere.
    pub fn uppers_are_complete(&self, id: &LayerId) -> Result<bool> {
        Ok(self.root.chain(id)?.iter().all(|layer| layer.driver.features.are_none()))
    }

    /// Fills the staged directory of a new layer.
    pub fn build(&self, staged: &Path, parent: Option<&Layer>, id: &LayerId, options: &CreateOptions) -> Result<Data> {
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
        let project = options.size.map(|size| self.sizes.limit(&diff, size)).transpose()?;
        let features = self.kernel.features.of_new_layer(parent.map(|parent| parent.driver.features));
        let link = self.links.add(id).inspect_err(|_| {
            if let Some(project) = project {
                self.sizes.give_back(project);
            }
        })?;
        Ok(Data { link, features, project, scratch: options.scratch })
    }

    /// Takes back what [`build`](Self::build) did outside the staged directory.
    pub fn forget(&self, data: &Data) {
        if let Err(error) = self.links.remove(&data.link) {
            tracing::warn!(%error, "the link of a layer that was not made stays until the next opening");
        }
        if let Some(project) = data.project {
            self.sizes.give_back(project);
        }
    }

    /// Mounts a layer on a directory made for that.
    pub fn mount(&self, id: &LayerId, mode: MountMode) -> Result<PathBuf> {
        let chain = self.root.chain(id)?;
        let merged = self.root.layer_dir(id).join("merged");
        make_dir(&merged, 0o700)?;
        self.mount_chain(&chain, mode, &merged).inspect_err(|_| _ = fs::remove_dir(&merged))?;
        Ok(merged)
    }

    /// Works through a writable mount of a layer that nobody else mounts meanwhile.
    pub fn with_mount<T>(&self, id: &LayerId, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let merged = self.mount(id, MountMode::ReadWrite)?;
        let done = work(&merged);
        match (done, unmount(&merged)) {
            (Ok(done), Ok(())) => Ok(done),
            (Ok(_), Err(error)) | (Err(error), Ok(())) => Err(error),
            (Err(cause), Err(cleanup)) => Err(Error::Rollback { cause: Box::new(cause), cleanup: Box::new(cleanup) }),
        }
    }

    fn mount_chain(&self, chain: &[Arc<Layer>], mode: MountMode, merged: &Path) -> Result<()> {
        let dir = |layer: &'_ Arc<Layer>| self.diff_dir(&layer.info.id);
        let mut dirs: Vec<_> =
            chain.iter().map(|layer| Dir { diff: dir(layer), link: layer.driver.link.as_str() }).collect();
        if dirs.len() == 1 {
            dirs.push(Dir { diff: self.root.path().join(EMPTY), link: "../empty" });
        }
        let writable = mode == MountMode::ReadWrite;
        let upper = writable.then(|| dirs.remove(0));
        if let (Some(upper), Some(top)) = (&upper, chain.first()) {
            self.prepare_work(&upper.diff.with_file_name("work"), top.driver.project)?;
        }
        let features: Vec<_> = chain.iter().map(|layer| layer.driver.features).collect();
        let volatile = self.options.volatile || chain.first().is_some_and(|top| top.driver.scratch);
        let options = mount_options(&features, writable, volatile, &self.kernel);
        let stack = Stack { lowers: dirs, upper, options };
        let mount = || {
            if self.kernel.context {
                stack.mount_by_context(merged)
            } else {
                stack.mount_by_page(self.links.directory(), merged)
            }
        };
        match chain.first().and_then(|top| top.driver.project).filter(|_| writable) {
            Some(project) => self.sizes.with_room(project, mount)?,
            None => mount()?,
        }
        if writable { refuse_read_only(merged) } else { Ok(()) }
    }

    /// Makes overlayfs's scratch directory for the first writable mount, or makes it fit for a further one.
    fn prepare_work(&self, work: &Path, project: Option<u32>) -> Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(work) {
            Ok(()) => project.map_or(Ok(()), |project| self.sizes.extend(work, project)),
            // After a volatile mount the kernel leaves a mark and refuses the next mount until it is gone
            // (overlayfs.rst, "Volatile mount").
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                delete_tree(&work.join("work/incompat/volatile"))
            }
            Err(error) => Err(Error::io("create", work)(error)),
        }
    }
}

/// Detaches, and removes the mount point: since Linux 3.18 that also ends the mount in every other namespace
/// that still holds it (kernel commit 8ed936b5671b).
pub fn unmount(merged: &Path) -> Result<()> {
    mount::detach(merged).map_err(Error::io("unmount", merged))?;
    fs::remove_dir(merged).map_err(Error::io("remove", merged))
}

/// Where there is no room for the kernel's own directory in the scratch directory, it mounts what was to be writable read-only, and
/// says so in its log alone (fs/overlayfs/super.c, `ovl_make_workdir`).
fn refuse_read_only(merged: &Path) -> Result<()> {
    /// What the file system below keeps back from files, more or less.
    const LITTLE: u64 = 1 << 20;
    let found = rustix::fs::statvfs(merged).map_err(Error::io("examine", merged))?;
    if !found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    mount::detach(merged).map_err(Error::io("unmount", merged))?;
    let is_full = found.f_bavail.saturating_mul(found.f_frsize) < LITTLE || found.f_ffree == 0;
    let kind = if is_full { io::ErrorKind::StorageFull } else { io::ErrorKind::ReadOnlyFilesystem };
    Err(Error::io("mount", merged)(io::Error::from(kind)))
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("create", path)(error)),
        _ => Ok(()),
    }
}

/// Starts the root of a layer as its parent's is: the merged root shows the upper's own attributes, so owner, mode,
/// times, ACLs and other xattrs must be there too.
fn copy_root_attributes(from: &Path, to: &Path, in_user_namespace: bool, id: &LayerId) -> Result<()> {
    let options = CopyOptions { skip_privileged_xattrs: in_user_namespace, ..CopyOptions::default() };
    copy::attributes(from, to, &options).map(|_| ()).map_err(|error| error.into_driver(id))
}
