//! Where the files of a container are: on its layer, or in what is mounted over that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use harness_container::{Host, Mount, MountSource, Record};
use storage_driver::{MountMode, MountedLayer};

use super::place::{Base, by_descriptor};
use crate::{containers::Site, failure::Result};

/// What a path in a container starts from.
pub struct Files {
    pub base: Base,
    /// The path below that.
    pub path: PathBuf,
    /// Whether the container itself could not write there.
    pub read_only: bool,
    /// What has to stay mounted meanwhile.
    mounted: Option<MountedLayer>,
}

impl Files {
    /// Of the place that `path` leads to; `follow` says that a link in its last place counts.
    ///
    /// What the container's kernel file systems show is not among its files, so it makes no difference whether it runs.
    pub fn open(site: &Site, record: &Record, path: &Path, follow: bool) -> Result<Self> {
        if let Some(files) = Self::of_mount(site, record, path)? {
            return Ok(files);
        }
        // The mode in which a supervisor has it.
        let mounted = site.open(record)?.mount(&record.layer, MountMode::ReadWrite)?;
        let base = Base::inside(mounted.path()).with_context(|| format!("cannot open {}", mounted.path().display()))?;
        if let Some(real) = real(&base, mounted.path(), path, follow)
            && let Some(files) = Self::of_mount(site, record, &real)?
        {
            drop(base);
            mounted.close()?;
            return Ok(files);
        }
        let read_only = record.configuration.read_only;
        Ok(Self { base, path: path.to_owned(), read_only, mounted: Some(mounted) })
    }

    /// In a volume, or in a file or directory of the host.
    fn of_mount(site: &Site, record: &Record, path: &Path) -> Result<Option<Self>> {
        let Some((mount, below)) = mount_of(record, path) else { return Ok(None) };
        let Some(source) = source_of(site, mount) else { return Ok(None) };
        // A single file has no directory of its own.
        let (dir, path) = match (source.is_dir(), source.parent(), source.file_name()) {
            (false, Some(parent), Some(name)) => (parent, Path::new("/").join(name).join(below)),
            _ => (source.as_path(), Path::new("/").join(below)),
        };
        let failed = || format!("cannot open {}, which is mounted at {}", source.display(), mount.target.display());
        let base = Base::inside(dir).with_context(failed)?;
        Ok(Some(Self { base, path, read_only: mount.read_only, mounted: None }))
    }

    /// Gives the mount back.
    pub fn close(self) -> Result {
        let Self { base, mounted, .. } = self;
        // A descriptor would keep it busy.
        drop(base);
        Ok(mounted.map_or(Ok(()), MountedLayer::close)?)
    }
}

/// Where a path leads to by the layer's own links, as the container names it. What is wrong with it comes up later.
fn real(base: &Base, root: &Path, path: &Path, follow: bool) -> Option<PathBuf> {
    let (fd, name) = base.locate(path, follow).ok()?.into_parts();
    let dir = fs::read_link(by_descriptor(&fd)).ok()?;
    let below = dir.strip_prefix(fs::canonicalize(root).ok()?).ok()?;
    Some(Path::new("/").join(below).join(name.unwrap_or_default()))
}

/// The innermost mount that a path is in, and the path below that.
fn mount_of<'a>(record: &'a Record, path: &Path) -> Option<(&'a Mount, PathBuf)> {
    let mounts = record.configuration.mounts.iter();
    let within = mounts.filter_map(|mount| Some((mount, path.strip_prefix(&mount.target).ok()?.to_owned())));
    within.max_by_key(|(mount, _)| mount.target.components().count())
}

/// Nothing for what is gone with the container's end.
fn source_of(site: &Site, mount: &Mount) -> Option<PathBuf> {
    match &mount.source {
        MountSource::Bind { path, .. } => Some(path.clone()),
        // It is made with the first start.
        MountSource::Volume { name, .. } => Some(site.volumes.data(name)).filter(|dir| dir.exists()),
        MountSource::Tmpfs { .. } => None,
    }
}
