use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{LayerId, MountMode, MountedLayer, Release, Result};

/// A layer that stays mounted after its driver was closed; made by [`StorageDriver::hold`](crate::StorageDriver::hold).
///
/// Whoever has this keeps the mount: it ends with [`close`](Self::close), and is taken away by the next who looks when
/// this process ends without it, however it ends. Neither needs an open driver. Dropping it does the same as well as it
/// can and logs a failure.
#[must_use = "the layer is unmounted as soon as this is dropped"]
pub struct HeldMount {
    id: LayerId,
    mode: MountMode,
    path: PathBuf,
    release: Option<Release>,
}

impl HeldMount {
    /// Made by drivers: `release` unmounts. It must not need the driver.
    pub fn new(id: LayerId, mode: MountMode, path: PathBuf, release: Release) -> Self {
        Self { id, mode, path, release: Some(release) }
    }

    /// Keeps the reference itself, and with it the driver's root: right for every driver, whatever a mount of its is made
    /// of; other processes find the root locked meanwhile.
    pub fn keeping(mounted: MountedLayer) -> Self {
        let (id, mode, path) = (mounted.id().clone(), mounted.mode(), mounted.path().to_owned());
        Self::new(id, mode, path, Box::new(move || mounted.close()))
    }

    /// The mounted layer.
    #[must_use]
    pub const fn id(&self) -> &LayerId {
        &self.id
    }

    /// Whether writes are possible.
    #[must_use]
    pub const fn mode(&self) -> MountMode {
        self.mode
    }

    /// The root of the layer's merged tree, an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unmounts.
    ///
    /// # Errors
    /// What the kernel said. The hold is over all the same, and who next opens the driver takes away what is left.
    pub fn close(mut self) -> Result<()> {
        self.release.take().map_or(Ok(()), |release| release())
    }
}

impl Drop for HeldMount {
    fn drop(&mut self) {
        if let Some(release) = self.release.take()
            && let Err(error) = release()
        {
            tracing::warn!(layer = %self.id, %error, "a held layer was dropped and did not unmount");
        }
    }
}

impl fmt::Debug for HeldMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldMount")
            .field("id", &self.id)
            .field("mode", &self.mode)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
