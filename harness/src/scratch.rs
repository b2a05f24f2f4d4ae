//! Directories that last as long as a command. Each is locked while its program lives, so that `harness gc` knows those of killed
//! ones.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::Context;
use harness_testbed::{Leftover, remove_leftover};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::{failure::Result, place::Place};

/// What a directory is for; its name begins so.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// The images and inputs of one run of workloads.
    Run,
    /// Trying drivers on the file system of the data directory.
    Trial,
    /// Layers that are compressed on their way out.
    Packing,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Run, Self::Trial, Self::Packing];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Run => "harness-run-",
            Self::Trial => "harness-trial-",
            Self::Packing => "harness-packing-",
        }
    }
}

/// A directory that goes with the command.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    /// The directory's lock; the kernel gives it up when the program ends, however it ends.
    _owner: File,
}

impl Scratch {
    /// Makes one in the data directory.
    pub fn make(place: &Place, purpose: Purpose) -> Result<Self> {
        let base = place.path();
        fs::create_dir_all(base).with_context(|| format!("cannot create {}", base.display()))?;
        // Until the new directory is locked, it looks like a dead program's.
        let _no_gc = lock(base, FlockOperation::LockExclusive)?;
        let dir = tempfile::Builder::new().prefix(purpose.prefix()).tempdir_in(base);
        let dir = dir.with_context(|| format!("cannot write in {}", base.display()))?;
        let owner = lock(dir.path(), FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { dir, _owner: owner })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes it away.
    pub fn close(self) -> Result {
        let path = self.path().to_owned();
        Ok(self.dir.close().with_context(|| format!("cannot remove {}", path.display()))?)
    }
}

/// Removes those whose programs are gone, with what is mounted below them.
pub fn gc(place: &Place) -> Result<Vec<Leftover>> {
    let base = place.path();
    let _no_new_ones = lock(base, FlockOperation::LockExclusive)?;
    let mut gone = Vec::new();
    for entry in fs::read_dir(base).with_context(|| format!("cannot read {}", base.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", base.display()))?;
        let name = entry.file_name();
        let is_scratch = Purpose::ALL.iter().any(|purpose| name.to_string_lossy().starts_with(purpose.prefix()));
        if is_scratch && lock(&entry.path(), FlockOperation::NonBlockingLockExclusive).is_ok() {
            gone.extend(remove_leftover(&entry.path(), "scratch directory")?);
        }
    }
    Ok(gone)
}

fn lock(dir: &Path, operation: FlockOperation) -> Result<File> {
    let open = File::open(dir).with_context(|| format!("cannot open {}", dir.display()))?;
    flock(&open, operation).with_context(|| format!("cannot lock {}", dir.display()))?;
    Ok(open)
}
