use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// A directory for what is being fetched, on the disk of the image store and not in memory. What a killed build left
/// there goes when nobody else fetches.
#[derive(Debug)]
pub struct Downloads {
    dir: PathBuf,
    _lock: File,
}

impl Downloads {
    pub fn open(store: &Path) -> Result<Self> {
        let dir = store.join("downloads");
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let path = store.join("downloads.lock");
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            for entry in fs::read_dir(&dir).map_err(Error::io("read", &dir))? {
                let left = entry.map_err(Error::io("read", &dir))?.path();
                fs::remove_dir_all(&left).map_err(Error::io("remove", left))?;
            }
        }
        flock(&lock, FlockOperation::LockShared).map_err(Error::io("lock", path))?;
        Ok(Self { dir, _lock: lock })
    }

    /// A fresh directory.
    pub fn make(&self) -> Result<tempfile::TempDir> {
        tempfile::tempdir_in(&self.dir).map_err(Error::io("create a directory in", &self.dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_build_left_goes_when_nobody_else_fetches() {
        let store = tempfile::tempdir().unwrap();
        let first = Downloads::open(store.path()).unwrap();
        let left = first.make().unwrap().keep();
        let second = Downloads::open(store.path()).unwrap();
        assert!(left.exists(), "it may still be in use");
        drop((first, second));
        Downloads::open(store.path()).unwrap();
        assert!(!left.exists());
    }
}
