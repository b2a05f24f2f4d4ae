use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use storage_driver::{Result, StorageDriver};

/// A driver to be examined: how to open it on a root, and what is known of it from outside.
pub trait Subject: Send + Sync {
    /// What the report calls it; a driver may be examined under several names, as `overlay2` and
    /// `overlay2-redirect`.
    fn name(&self) -> &str;

    /// Opens it on `root`, a directory that is there and empty at first, and holds the driver's data when it is
    /// opened again.
    ///
    /// # Errors
    /// What the driver said.
    fn open(&self, root: &Path) -> Result<Arc<dyn StorageDriver>>;

    /// Whether layers outlive the driver, so that its root is locked and can be opened again.
    fn is_persistent(&self) -> bool {
        true
    }

    /// Whether the cases' directories are better made in memory, where the kernel lets us mount a tmpfs that keeps
    /// everything: cases that make thousands of files are much faster there.
    fn wants_ram(&self) -> bool {
        !self.is_persistent()
    }

    /// Opens the other driver that layers are exchanged with: the model in memory unless said otherwise.
    ///
    /// # Errors
    /// What that driver said.
    fn open_peer(&self, root: &Path) -> Result<Arc<dyn StorageDriver>> {
        Ok(Arc::new(driver_memory::MemoryDriver::open(root)?))
    }

    /// Where the cases' own directories are made: on the file system that the driver is to be examined on.
    fn base(&self) -> PathBuf {
        std::env::temp_dir()
    }
}

/// A [`Subject`] made of a name and a function.
pub struct Opener<F> {
    name: String,
    persistent: bool,
    ram: bool,
    base: PathBuf,
    open: F,
}

impl<F> Opener<F>
where
    F: Fn(&Path) -> Result<Arc<dyn StorageDriver>> + Send + Sync,
{
    /// A driver whose layers outlive it.
    pub fn new(name: impl Into<String>, open: F) -> Self {
        Self { name: name.into(), persistent: true, ram: false, base: std::env::temp_dir(), open }
    }

    /// The same for a driver that forgets its layers when it is dropped.
    #[must_use]
    pub fn forgetful(mut self) -> Self {
        self.persistent = false;
        self.in_ram()
    }

    /// Examines it in memory, where that is possible.
    #[must_use]
    pub fn in_ram(mut self) -> Self {
        self.ram = true;
        self
    }

    /// Examines it below this directory.
    #[must_use]
    pub fn below(mut self, base: impl Into<PathBuf>) -> Self {
        self.base = base.into();
        self
    }
}

impl<F> Subject for Opener<F>
where
    F: Fn(&Path) -> Result<Arc<dyn StorageDriver>> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self, root: &Path) -> Result<Arc<dyn StorageDriver>> {
        (self.open)(root)
    }

    fn is_persistent(&self) -> bool {
        self.persistent
    }

    fn wants_ram(&self) -> bool {
        self.ram
    }

    fn base(&self) -> PathBuf {
        self.base.clone()
    }
}

impl<F> std::fmt::Debug for Opener<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The model, as a subject.
#[must_use]
pub fn memory() -> impl Subject {
    Opener::new(
        "memory",
        |root: &Path| Ok(Arc::new(driver_memory::MemoryDriver::open(root)?) as Arc<dyn StorageDriver>),
    )
    .forgetful()
}
