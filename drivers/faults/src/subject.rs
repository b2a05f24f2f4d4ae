use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use storage_driver::{Result, StorageDriver};

/// How a small disk is made: the program, its arguments, and how large the disk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The file system, as mount(2) calls it.
    pub fs_type: &'static str,
    /// The program that makes it on an image file.
    pub mkfs: &'static [&'static str],
    /// The package that the program comes with.
    pub package: &'static str,
    /// Bytes.
    pub size: u64,
    /// Whether copies of it can be in use side by side. Where the kernel tells file systems or devices apart by what is
    /// written on them, copies are the same.
    pub can_be_copied: bool,
}

impl Disk {
    /// A small ext4 with a journal.
    pub const EXT4: Self = Self {
        fs_type: "ext4",
        mkfs: &["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,nodiscard"],
        package: "e2fsprogs",
        size: 24 << 20,
        can_be_copied: true,
    };

    /// The smallest btrfs that there is.
    pub const BTRFS: Self = Self {
        fs_type: "btrfs",
        mkfs: &["mkfs.btrfs", "-q", "-f"],
        package: "btrfs-progs",
        size: 128 << 20,
        can_be_copied: false,
    };

    /// An ext4 with room for the files of a small pool.
    pub const POOL: Self = Self { size: 256 << 20, can_be_copied: false, ..Self::EXT4 };
}

/// Where trials are made in which the disk itself is not at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// In memory, on a tmpfs: fastest.
    Memory,
    /// Below this directory.
    Below(PathBuf),
    /// On a disk of its own in memory, for drivers that need one file system.
    Disk(Disk),
}

/// A driver to be examined.
pub trait Subject {
    /// What the report calls it.
    fn name(&self) -> &str;

    /// Opens it on `root`, a directory that is there and empty at first.
    ///
    /// # Errors
    /// What the driver said.
    fn open(&self, root: &Path) -> Result<Arc<dyn StorageDriver>>;

    /// Where its trials are made.
    fn ground(&self) -> Ground {
        Ground::Memory
    }

    /// The disk that is full, and the power of which goes.
    fn disk(&self) -> Disk {
        Disk::EXT4
    }

    /// What this driver has left outside its root when it is shut down, other than mounts and devices below it.
    fn leaks(&self, root: &Path) -> Vec<String> {
        _ = root;
        Vec::new()
    }
}

/// A [`Subject`] made of a name and a function.
pub struct Opener<F> {
    name: String,
    ground: Ground,
    disk: Disk,
    open: F,
}

impl<F> Opener<F>
where
    F: Fn(&Path) -> Result<Arc<dyn StorageDriver>>,
{
    /// A driver that works in memory, on a tmpfs.
    pub fn new(name: impl Into<String>, open: F) -> Self {
        Self { name: name.into(), ground: Ground::Memory, disk: Disk::EXT4, open }
    }

    /// Examines it below this directory instead.
    #[must_use]
    pub fn below(mut self, base: impl Into<PathBuf>) -> Self {
        self.ground = Ground::Below(base.into());
        self
    }

    /// Examines it in memory, and takes such a disk where the disk is at fault.
    #[must_use]
    pub const fn with_disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// Examines it on such disks only.
    #[must_use]
    pub fn on_disk(mut self, disk: Disk) -> Self {
        self.ground = Ground::Disk(disk.clone());
        self.disk = disk;
        self
    }
}

impl<F> Subject for Opener<F>
where
    F: Fn(&Path) -> Result<Arc<dyn StorageDriver>>,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self, root: &Path) -> Result<Arc<dyn StorageDriver>> {
        (self.open)(root)
    }

    fn ground(&self) -> Ground {
        self.ground.clone()
    }

    fn disk(&self) -> Disk {
        self.disk.clone()
    }
}

impl<F> std::fmt::Debug for Opener<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("name", &self.name).field("ground", &self.ground).finish_non_exhaustive()
    }
}
