use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::failed;
use crate::{Error, Result};

/// Where cgroup file systems are mounted by convention.
const MOUNT: &str = "/sys/fs/cgroup";
/// The directory that holds all of ours.
const OURS: &str = "harness";

/// Which version of the interface has the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Hierarchy {
    /// One tree a controller, see the kernel's Documentation/admin-guide/cgroup-v1.
    One,
    /// One tree for all, see Documentation/admin-guide/cgroup-v2.rst.
    Two,
}

/// What a cgroup can limit, count or stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Controller {
    Memory,
    Cpu,
    CpuAccounting,
    Pids,
    BlockIo,
    /// On version 2 every cgroup can do it.
    Freezer,
}

impl Controller {
    pub(super) const ALL: [Self; 6] =
        [Self::Memory, Self::Cpu, Self::CpuAccounting, Self::Pids, Self::BlockIo, Self::Freezer];

    fn name(self, hierarchy: Hierarchy) -> &'static str {
        match (self, hierarchy) {
            (Self::Memory, _) => "memory",
            (Self::Cpu, _) | (Self::CpuAccounting, Hierarchy::Two) => "cpu",
            (Self::CpuAccounting, Hierarchy::One) => "cpuacct",
            (Self::Pids, _) => "pids",
            (Self::BlockIo, Hierarchy::One) => "blkio",
            (Self::BlockIo, Hierarchy::Two) => "io",
            (Self::Freezer, _) => "freezer",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu | Self::CpuAccounting => "cpu time",
            Self::Pids => "the number of processes",
            Self::BlockIo => "block I/O",
            Self::Freezer => "whether processes run",
        }
    }
}

impl Hierarchy {
    pub(super) fn detect() -> Self {
        match rustix::fs::statfs(MOUNT) {
            Ok(stat) if stat.f_type == libc::CGROUP2_SUPER_MAGIC => Self::Two,
            _ => Self::One,
        }
    }

    /// Directories that hold containers' cgroups, as far as they exist.
    pub(super) fn existing(self) -> Vec<PathBuf> {
        let mut bases: Vec<PathBuf> = match self {
            Self::One => Controller::ALL.iter().map(|c| Path::new(MOUNT).join(c.name(self)).join(OURS)).collect(),
            Self::Two => vec![Path::new(MOUNT).join(OURS)],
        };
        bases.retain(|base| base.is_dir());
        bases
    }

    /// Whether a cgroup can have `controller` here.
    pub(super) fn has(self, controller: Controller) -> bool {
        let name = controller.name(self);
        match self {
            Self::One => Path::new(MOUNT).join(name).join("tasks").exists(),
            Self::Two => {
                let controllers = std::fs::read_to_string(Path::new(MOUNT).join("cgroup.controllers"));
                controllers.is_ok_and(|list| list.split_whitespace().any(|known| known == name))
            }
        }
    }

    /// Paths for a cgroup `name` with these controllers, which are made usable there.
    pub(super) fn directories(self, controllers: &[Controller], name: &str) -> Result<Vec<(Controller, PathBuf)>> {
        match self {
            Self::One => controllers
                .iter()
                .map(|&controller| {
                    let tree = Path::new(MOUNT).join(controller.name(self));
                    if !tree.join("tasks").exists() {
                        return Err(missing(controller, &tree));
                    }
                    Ok((controller, make_base(&tree, controller)?.join(name)))
                })
                .collect(),
            Self::Two => {
                let root = Path::new(MOUNT);
                let Some(&first) = controllers.first() else { return Ok(Vec::new()) };
                enable(root, controllers)?;
                let base = make_base(root, first)?;
                enable(&base, controllers)?;
                Ok(vec![(first, base.join(name))])
            }
        }
    }
}

fn missing(controller: Controller, tree: &Path) -> Error {
    let why = format!("{} is no mounted cgroup controller; mount it, or start without this limit", tree.display());
    Error::Limit { what: controller.what(), why }
}

fn make_base(tree: &Path, controller: Controller) -> Result<PathBuf> {
    let base = tree.join(OURS);
    if !base.is_dir() {
        match make(controller, &base) {
            // Another process has made it meanwhile.
            Err(Error::Cgroup { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(base)
}

/// Makes the directory of a cgroup.
pub(super) fn make(controller: Controller, path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if refused(&error) => Err(no_right(controller, path, &error)),
        other => other.map_err(failed("make", path)),
    }
}

fn refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn no_right(controller: Controller, path: &Path, error: &io::Error) -> Error {
    let why = format!("{}: {error}; run as root, or start without this limit", path.display());
    Error::Limit { what: controller.what(), why }
}

/// Makes controllers available to the children of the cgroup2 directory `path`.
fn enable(path: &Path, controllers: &[Controller]) -> Result<()> {
    let file = path.join("cgroup.subtree_control");
    let enabled = std::fs::read_to_string(&file).map_err(failed("read", &file))?;
    for &controller in controllers {
        let name = controller.name(Hierarchy::Two);
        if enabled.split_whitespace().any(|known| known == name) {
            continue;
        }
        match std::fs::write(&file, format!("+{name}")) {
            Ok(()) => {}
            Err(error) if refused(&error) => return Err(no_right(controller, &file, &error)),
            // Not in cgroup.controllers: the kernel lacks it, or version 1 has it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(controller, path)),
            Err(error) => return Err(failed("write", &file)(error)),
        }
    }
    Ok(())
}
