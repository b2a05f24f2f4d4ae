//! Limits on what a layer holds, by project quotas of the file system below.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

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
    pub fn support(&self, backing: &str) -> Support {
        match quota::probe(&self.root) {
            Ok(()) => Support::Yes,
            Err(why) => Support::No(format!("{} is on {backing}: {why}", self.root.display())),
        }
    }

    /// Puts an empty directory, and all that will be made in it, under a limit; the project id is the answer.
    pub fn limit(&self, dir: &Path, size: Bytes) -> Result<u32> {
        let fail = || Error::io("limit the size of", dir);
        let project = self.take().map_err(fail())?;
        // First what makes the id look used to other roots on this file system. Zero would lift the limit.
        let set = quota::assign(dir, project).and_then(|()| quota::limit(&self.root, project, size.get().max(1)));
        set.map_err(|error| {
            self.give_back(project);
            fail()(error)
        })?;
        Ok(project)
    }

    /// Puts another empty directory under the same limit.
    pub fn extend(&self, dir: &Path, project: u32) -> Result<()> {
        quota::assign(dir, project).map_err(Error::io("limit the size of", dir))
    }

    /// Does `work`, for which a full layer needs a little room: the kernel makes a directory for each writable mount, and where it
    /// cannot, the mount is read-only and nothing can be deleted any more (fs/overlayfs/super.c, `ovl_make_workdir`).
    ///
    /// A crash meanwhile leaves the layer that much larger.
    pub fn with_room<T>(&self, project: u32, work: impl FnOnce() -> Result<T>) -> Result<T> {
        // What xfs sets aside for a new directory, of which it then takes nothing or a block.
        const ROOM: u64 = 1 << 20;
        let set = |limit| quota::limit(&self.root, project, limit);
        let limit = quota::limit_of(&self.root, project).map_err(Error::io("read the limits in", &self.root))?;
        if limit == 0 {
            return work();
        }
        set(limit + ROOM).map_err(Error::io("limit a layer's size in", &self.root))?;
        let done = work();
        if let Err(error) = set(limit) {
            tracing::warn!(project, %error, "a layer stays {ROOM} bytes larger than it is to be");
        }
        done
    }

    /// Lifts the limit and frees the id, once nothing belongs to it any more.
    pub fn give_back(&self, project: u32) {
        if let Err(error) = quota::limit(&self.root, project, 0) {
            tracing::warn!(project, %error, "the quota of a removed layer stays");
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(&project);
    }

    /// The lowest id that no layer has, nor anything else on this file system: another root may be on it. A limit
    /// alone, which a crash may leave behind, does not count.
    fn take(&self) -> io::Result<u32> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for project in FIRST_PROJECT..u32::MAX {
            if !used.contains(&project) && !quota::is_used(&self.root, project)? {
                used.insert(project);
                return Ok(project);
            }
        }
        Err(io::Error::other("all project ids are taken"))
    }
}
