use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{LayerId, MountMode, Result};

/// What a driver does when a mount reference is given back.
pub type Release = Box<dyn FnOnce() -> Result<()> + Send + Sync>;

/// One reference to a mounted layer; the mount lives as long as any reference does.
///
/// Give it back with [`close`](Self::close), which can fail and say why. Dropping it does the same as well
/// as it can and logs a failure.
#[must_use = "the layer is unmounted as soon as this is dropped"]
pub struct MountedLayer {
    id: LayerId,
    mode: MountMode,
    path: PathBuf,
    release: Option<Release>,
}

impl MountedLayer {
    /// Made by drivers: a reference to `id` at `path` that `release` gives back.
    pub fn new(id: LayerId, mode: MountMode, path: PathBuf, release: Release) -> Self {
        Self { id, mode, path, release: Some(release) }
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

    /// Gives this reference back; the last one unmounts.
    ///
    /// # Errors
    /// What the kernel said when unmounting. The reference is given back all the same.
    pub fn close(mut self) -> Result<()> {
        self.release.take().map_or(Ok(()), |release| release())
    }
}

impl Drop for MountedLayer {
    fn drop(&mut self) {
        if let Some(release) = self.release.take()
            && let Err(error) = release()
        {
            tracing::warn!(layer = %self.id, %error, "a mounted layer was dropped and did not unmount");
        }
    }
}

impl fmt::Debug for MountedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountedLayer")
            .field("id", &self.id)
            .field("mode", &self.mode)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
