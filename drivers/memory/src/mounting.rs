//! The scratch directory: where layers are files for a while.

use std::path::Path;

use storage_driver::{Error, MountMode, Result};
use storage_sys::mount;
use tempfile::TempDir;

use crate::{lay_out::lay_out, tree::Tree};

/// A directory of the driver's own, gone when the driver is.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
}

impl Scratch {
    pub fn new(base: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("memory-").tempdir_in(base);
        Ok(Self { directory: directory.map_err(Error::io("create a directory in", base))? })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes `tree` out of files in a directory of its own, which goes away when it is dropped.
    pub fn files(&self, tree: &Tree) -> Result<TempDir> {
        let files = tempfile::tempdir_in(self.path()).map_err(Error::io("create a directory in", self.path()))?;
        lay_out(tree, files.path())?;
        Ok(files)
    }
}

/// Files that are used as a mount; the kernel refuses writes in read-only mode.
#[derive(Debug)]
pub struct Mount {
    files: TempDir,
    pub mode: MountMode,
    pub references: usize,
}

impl Mount {
    pub fn new(files: TempDir, mode: MountMode) -> Result<Self> {
        if mode == MountMode::ReadOnly {
            mount::bind_read_only(files.path(), files.path()).map_err(Error::io("mount", files.path()))?;
        }
        Ok(Self { files, mode, references: 1 })
    }

    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Unmounts, also while somebody has a file open, and deletes the files.
    pub fn close(self) -> Result<()> {
        let path = self.path().to_owned();
        if self.mode == MountMode::ReadOnly {
            mount::detach(&path).map_err(Error::io("unmount", &path))?;
        }
        self.files.close().map_err(Error::io("remove", path))
    }
}
