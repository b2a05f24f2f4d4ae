//! Limits on what a layer holds, by project quotas of the file system below.

use std::{collections::BTreeSet, path::{Path, PathBuf}, sync::{Mutex, PoisonError}};

use storage_driver::{Bytes, Error, Result, Support};
use storage_sys::quota;

/// Project ids of our layers start here, to stay clear of those that people number by hand.
const FIRST_PROJECT: u32 = 0x6861_0000;

/// The project ids in use below one root.
#[derive(Debug)]
pub struct Sizes {
    root: PathBuf,
    used: Mutex<BTreeSet<u32>>,
}

impl Sizes {
    pub fn new(root: &Path, used: BTreeSet<u32>) -> Self {
        Self { root: root.to_owned(), used: Mutex::new(used) }
    }

    /// Whether the file system enforces project quotas, and if not, why.
    pub fn support(&self) -> Support {
        match quota::probe(&self.root) {
            Ok(()) => Support::Yes,
            Err(why) => Support::No(why.to_string()),
        }
    }

    /// Puts empty directories, and all that will be made in them, under one limit; the project id is the answer.
    pub fn limit(&self, dirs: &[&Path], size: Bytes) -> Result<u32> {
        let project = self.take();
        let set = || -> std::io::Result<()> {
            for dir in dirs {
                quota::assign(dir, project)?;
            }
            quota::limit(&self.root, project, size.get())
        };
        set().map_err(|error| {
            self.give_back(project);
            Error::io("limit the size of", dirs[0])(error)
        })?;
        Ok(project)
    }

    /// Lifts the limit and frees the id.
    pub fn give_back(&self, project: u32) {
        if let Err(error) = quota::limit(&self.root, project, 0) {
            tracing::warn!(project, %error, "the quota of a removed layer stays");
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(&project);
    }

    fn take(&self) -> u32 {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let project = used.last().map_or(FIRST_PROJECT, |last| last.wrapping_add(1).max(FIRST_PROJECT));
        used.insert(project);
        project
    }
}
