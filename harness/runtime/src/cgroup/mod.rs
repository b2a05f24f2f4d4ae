//! Control groups: limits and accounting of a container, on version 1 and version 2 of the kernel's interface.
//!
//! A container has a cgroup only if it has limits or its accounting is asked for, as making one, and above all joining
//! it, costs more than the rest of some containers' lives.

mod freezer;
mod gc;
mod hierarchy;
mod limits;
mod members;
mod stats;

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

pub use self::{
    gc::{gc_cgroups, own_cgroups},
    stats::{Stats, Throttling},
};
use self::{
    hierarchy::{Controller, Hierarchy},
    limits::Limits,
};
use crate::{Error, Result};

/// How often, and after which pause, a cgroup is tried again that is busy with the last of its processes' remains.
const REMOVALS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(2);

/// Whether this host's cgroups are of version 2, one tree for all controllers.
#[must_use]
pub fn has_unified_cgroups() -> bool {
    Hierarchy::detect() == Hierarchy::Two
}

/// A container's cgroup, in each hierarchy that it needs.
#[derive(Debug)]
pub(crate) struct Cgroup {
    hierarchy: Hierarchy,
    /// Removed when dropped.
    groups: Vec<Group>,
    /// What was made above them for a path that was asked for; goes when it is empty.
    above: Vec<PathBuf>,
}

/// Where a container's cgroup is, for another process to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CgroupRecord {
    version: Hierarchy,
    directories: Vec<(Controller, PathBuf)>,
}

/// One directory.
#[derive(Debug)]
struct Group {
    /// What it is for; on version 2 one directory serves all.
    controller: Controller,
    path: PathBuf,
    /// Whether it is gone, or not this value's to remove.
    removed: bool,
}

/// How a new process gets into a cgroup.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    /// Version 1: the `tasks` files that it writes itself to.
    pub(crate) tasks: Vec<OwnedFd>,
    /// Version 2: the directory that it is born in.
    pub(crate) directory: Option<OwnedFd>,
}

impl Cgroup {
    /// Makes the cgroup of the container `id` with the limits of `spec`; `None` if it needs none.
    pub(crate) fn create(id: &str, spec: &Spec, accounting: bool) -> Result<Option<Self>> {
        let hierarchy = Hierarchy::detect();
        let limits = Limits::of(spec, hierarchy)?;
        let asked = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
        let mut wanted: Vec<_> = limits.controllers().collect();
        if accounting || asked.is_some() {
            wanted.extend([Controller::Memory, Controller::CpuAccounting, Controller::Pids]);
            // What not every host has: without it figures are missing, or the container cannot be paused.
            let more = [Controller::BlockIo, Controller::Freezer];
            wanted.extend(more.into_iter().filter(|&controller| hierarchy.has(controller)));
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let mut cgroup = Self { hierarchy, groups: Vec::new(), above: Vec::new() };
        let place = match asked {
            Some(path) => asked_place(path)?,
            None => Path::new(hierarchy::OURS).join(format!("{id}.{}", std::process::id())),
        };
        let mut made = Vec::new();
        let groups = hierarchy.directories(&wanted, &place, &mut made);
        if asked.is_some() {
            cgroup.above = made;
        }
        for (controller, path) in groups? {
            hierarchy::make(controller, &path)?;
            cgroup.groups.push(Group { controller, path, removed: false });
        }
        limits.write(&cgroup)?;
        Ok(Some(cgroup))
    }

    /// The cgroup of a container that another process has started, and whose it stays.
    pub(crate) fn open(record: &CgroupRecord) -> Self {
        let group = |(controller, path): &(Controller, PathBuf)| Group {
            controller: *controller,
            path: path.clone(),
            removed: true,
        };
        Self { hierarchy: record.version, groups: record.directories.iter().map(group).collect(), above: Vec::new() }
    }

    /// The cgroup that somebody else has made at `place` below the trees, and whose it stays.
    pub(crate) fn find(place: &Path) -> Option<Self> {
        let hierarchy = Hierarchy::detect();
        let groups: Vec<Group> = hierarchy
            .places(place)
            .filter(|(_, path)| path.is_dir())
            .map(|(controller, path)| Group { controller, path, removed: true })
            .collect();
        (!groups.is_empty()).then_some(Self { hierarchy, groups, above: Vec::new() })
    }

    pub(crate) fn record(&self) -> CgroupRecord {
        let directories = self.groups.iter().map(|group| (group.controller, group.path.clone())).collect();
        CgroupRecord { version: self.hierarchy, directories }
    }

    /// Leaves the directories to somebody else.
    pub(crate) fn leave(mut self) {
        self.groups.iter_mut().for_each(|group| group.removed = true);
        self.above.clear();
    }

    /// What a process needs to get in.
    pub(crate) fn placement(&self) -> Result<Placement> {
        let mut placement = Placement::default();
        for group in &self.groups {
            let opened = |path: PathBuf, file: io::Result<File>| file.map(OwnedFd::from).map_err(failed("open", &path));
            match self.hierarchy {
                Hierarchy::One => {
                    let path = group.path.join("tasks");
                    let file = File::options().write(true).open(&path);
                    placement.tasks.push(opened(path, file)?);
                }
                Hierarchy::Two => placement.directory = Some(opened(group.path.clone(), File::open(&group.path))?),
            }
        }
        Ok(placement)
    }

    /// The directory in which `controller` has its files.
    fn directory(&self, controller: Controller) -> Option<&Path> {
        let serves = |group: &&Group| self.hierarchy == Hierarchy::Two || group.controller == controller;
        self.groups.iter().find(serves).map(|group| group.path.as_path())
    }

    /// The directory in the hierarchy of the controller of this name, on version 1.
    pub(crate) fn named(&self, controller: &str) -> Option<&Path> {
        let group = self.groups.iter().find(|group| group.controller.name(self.hierarchy) == controller);
        group.map(|group| group.path.as_path())
    }

    /// Gives it the limits of `spec`; what that does not limit stays as it is.
    pub(crate) fn set_limits(&self, spec: &Spec) -> Result<()> {
        Limits::of(spec, self.hierarchy)?.replace(self)
    }

    /// What the processes have used.
    pub(crate) fn stats(&self) -> Result<Stats> {
        stats::read(self)
    }

    /// Removes the directories; their processes have ended.
    pub(crate) fn remove(mut self) -> Result<()> {
        self.groups.iter_mut().try_for_each(Group::remove)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.groups.clear();
        for directory in self.above.iter().rev() {
            // Others may use it by now.
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// The place below the trees that `linux.cgroupsPath` names. Both of its forms are below their roots here.
fn asked_place(path: &Path) -> Result<PathBuf> {
    let what = || format!("linux.cgroupsPath {}", path.display());
    if path.as_os_str().as_encoded_bytes().contains(&b':') {
        let remedy = "systemd's form is for hosts where systemd makes cgroups; give a path";
        return Err(Error::Unsupported { what: what(), remedy });
    }
    let relative = path.strip_prefix("/").unwrap_or(path);
    let plain = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if relative.as_os_str().is_empty() || !plain {
        return Err(Error::invalid(what(), "it has to be a path without . and .."));
    }
    Ok(relative.to_owned())
}

impl Group {
    fn remove(&mut self) -> Result<()> {
        if !self.removed {
            remove_directory(&self.path)?;
            self.removed = true;
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "a cgroup is left");
        }
    }
}

pub(crate) fn remove_directory(path: &Path) -> Result<()> {
    for attempt in 0.. {
        match std::fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && attempt < REMOVALS => thread::sleep(PAUSE),
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            other => return other.map_err(failed("remove", path)),
        }
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Cgroup { action, path, source }
}
