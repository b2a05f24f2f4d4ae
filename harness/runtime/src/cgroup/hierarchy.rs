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
pub(super) const OURS: &str = "harness";

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
    CpuSet,
}

impl Controller {
    pub(super) const ALL: [Self; 7] =
        [Self::Memory, Self::Cpu, Self::CpuAccounting, Self::Pids, Self::BlockIo, Self::Freezer, Self::CpuSet];

    pub(super) fn name(self, hierarchy: Hierarchy) -> &'static str {
        match (self, hierarchy) {
            (Self::Memory, _) => "memory",
            (Self::Cpu, _) | (Self::CpuAccounting, Hierarchy::Two) => "cpu",
            (Self::CpuAccounting, Hierarchy::One) => "cpuacct",
            (Self::Pids, _) => "pids",
            (Self::BlockIo, Hierarchy::One) => "blkio",
            (Self::BlockIo, Hierarchy::Two) => "io",
            (Self::Freezer, _) => "freezer",
            (Self::CpuSet, _) => "cpuset",
        }
    }

    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu | Self::CpuAccounting => "cpu time",
            Self::Pids => "the number of processes",
            Self::BlockIo => "block I/O",
            Self::Freezer => "whether processes run",
            Self::CpuSet => "the choice of processors",
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

    /// Where a cgroup at `place` below the trees has its directories, if it has them.
    pub(super) fn places(self, place: &Path) -> impl Iterator<Item = (Controller, PathBuf)> {
        let controllers = match self {
            Self::One => &Controller::ALL[..],
            Self::Two => &Controller::ALL[..1],
        };
        let place = place.to_owned();
        controllers.iter().map(move |&controller| {
            let tree = match self {
                Self::One => Path::new(MOUNT).join(controller.name(self)),
                Self::Two => PathBuf::from(MOUNT),
            };
            (controller, tree.join(&place))
        })
    }

    /// Directories for a cgroup at `place` below the trees, with these controllers, which are made usable there. What is
    /// above it is made if need be, and told to `made`.
    pub(super) fn directories(
        self,
        controllers: &[Controller],
        place: &Path,
        made: &mut Vec<PathBuf>,
    ) -> Result<Vec<(Controller, PathBuf)>> {
        match self {
            Self::One => controllers
                .iter()
                .map(|&controller| {
                    let tree = Path::new(MOUNT).join(controller.name(self));
                    if !tree.join("tasks").exists() {
                        return Err(missing(controller, &tree));
                    }
                    make_above(&tree, place, controller, made)?;
                    Ok((controller, tree.join(place)))
                })
                .collect(),
            Self::Two => {
                let root = Path::new(MOUNT);
                let Some(&first) = controllers.first() else { return Ok(Vec::new()) };
                enable(root, controllers)?;
                for above in make_above(root, place, first, made)? {
                    enable(&above, controllers)?;
                }
                Ok(vec![(first, root.join(place))])
            }
        }
    }
}

fn missing(controller: Controller, tree: &Path) -> Error {
    let why = format!("{} is no mounted cgroup controller; mount it, or start without this limit", tree.display());
    Error::Limit { what: controller.what(), why }
}

/// Makes the directories above `place` in `tree`, and returns them.
fn make_above(tree: &Path, place: &Path, controller: Controller, made: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let above: Vec<&Path> = place.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    let above: Vec<PathBuf> = above.into_iter().rev().map(|path| tree.join(path)).collect();
    for directory in &above {
        if directory.is_dir() {
            if controller == Controller::CpuSet {
                // Who has made it may not have come that far.
                give_what_is_above(directory)?;
            }
            continue;
        }
        match make(controller, directory) {
            Ok(()) => made.push(directory.clone()),
            // Another process has made it meanwhile.
            Err(Error::Cgroup { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(above)
}

/// Makes the directory of a cgroup.
pub(super) fn make(controller: Controller, path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if refused(&error) => return Err(no_right(controller, path, &error)),
        other => other.map_err(failed("make", path))?,
    }
    if controller == Controller::CpuSet { give_what_is_above(path) } else { Ok(()) }
}

/// Nothing can join a set of version 1 without processors and memory, so it gets those of the set above.
fn give_what_is_above(path: &Path) -> Result<()> {
    let above = path.parent().unwrap_or(path);
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (above.join(name), path.join(name));
        // On version 2 an empty one means just that.
        let has = std::fs::read_to_string(&to).map_err(failed("read", &to))?;
        if has.trim().is_empty() && path.join("tasks").exists() {
            let value = std::fs::read(&from).map_err(failed("read", &from))?;
            std::fs::write(&to, value).map_err(failed("write", &to))?;
        }
    }
    Ok(())
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
