//! The port, continued: containers that stay, databases in them, and what this program holds of the machine.

use std::{fmt::Debug, ops::Sub, path::Path, sync::Arc, time::Duration};

use storage_driver::{Bytes, LayerId};

use crate::Result;

/// Makes containers of one image, from any thread.
pub trait Containers: Debug + Send + Sync {
    /// A new container: its writable layer, not mounted.
    ///
    /// # Errors
    /// The driver's.
    fn create(&self) -> Result<Box<dyn Container>>;
}

/// Containers of one image, as threads share them.
pub type SharedContainers = Arc<dyn Containers>;

/// One container, step by step. Dropping it undoes what has been done.
pub trait Container: Debug + Send {
    /// The container's writable layer.
    fn layer(&self) -> &LayerId;

    /// Mounts its layer, and says where.
    ///
    /// # Errors
    /// The driver's.
    fn mount(&mut self) -> Result<&Path>;

    /// Starts its first process; with `accounting`, in a cgroup of its own where that is possible.
    ///
    /// # Errors
    /// What the kernel refuses; it has to be mounted.
    fn start(&mut self, command: &[&str], accounting: bool) -> Result<()>;

    /// Runs another program in it to its end.
    ///
    /// # Errors
    /// When it cannot be started; a status other than 0 is no error here.
    fn exec(&self, command: &[&str]) -> Result<ExecReport>;

    /// Works on a database in it.
    ///
    /// # Errors
    /// When that cannot be started, or SQLite refuses.
    fn database(&self, work: &DatabaseWork) -> Result<DatabaseReport>;

    /// The memory that its cgroup counts, page cache included; `None` without one.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn memory(&self) -> Result<Option<Bytes>>;

    /// Kills it, and waits for its end; gives its status as a shell sees it.
    ///
    /// # Errors
    /// When it was not started.
    fn stop(&mut self) -> Result<i32>;

    /// Unmounts its layer.
    ///
    /// # Errors
    /// The driver's.
    fn unmount(&mut self) -> Result<()>;

    /// Removes its layer.
    ///
    /// # Errors
    /// The driver's.
    fn remove(self: Box<Self>) -> Result<()>;
}

/// What a program in a running container did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecReport {
    /// As a shell sees it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// From the call until the program runs.
    pub start: Duration,
    /// From there until it has ended.
    pub run: Duration,
}

/// How SQLite keeps a transaction atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// A write-ahead log beside the database.
    Wal,
    /// A rollback journal, made and deleted by each transaction.
    Delete,
}

impl Journal {
    /// The name in `PRAGMA journal_mode`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wal => "wal",
            Self::Delete => "delete",
        }
    }
}

/// What to do to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseWork {
    /// The database's file, in the container.
    pub file: String,
    /// How transactions are kept atomic.
    pub journal: Journal,
    /// Rows to fill it with first, when it is new.
    pub fill: u64,
    /// Transactions, each durable before the next.
    pub transactions: u64,
    /// Decides which rows are written.
    pub seed: u64,
}

/// What a database came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatabaseReport {
    /// Version of SQLite.
    pub version: String,
    /// Filling it.
    pub fill: Duration,
    /// Each transaction.
    pub transactions: Vec<Duration>,
    /// Checkpoint and close.
    pub close: Duration,
    /// Rows that are in it.
    pub rows: u64,
    /// Rows that this work has added, one a transaction.
    pub added: u64,
    /// What `PRAGMA integrity_check` says.
    pub integrity: String,
    /// The journal mode that was in force.
    pub journal: String,
}

/// What this program and its driver hold of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Mounts of the driver.
    pub mounts: u64,
    /// Loop devices on files of the driver.
    pub loop_devices: u64,
    /// Cgroups of this program's containers.
    pub cgroups: u64,
    /// Open descriptors of this process.
    pub descriptors: u64,
    /// Layers.
    pub layers: u64,
    /// What is used of the file system that holds the driver's data, and of that only where the driver has it for itself.
    pub disk: Option<Bytes>,
    /// Memory that the machine could still give to programs.
    pub memory_available: Option<Bytes>,
}

impl Holdings {
    /// What is counted, by name.
    #[must_use]
    pub const fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("mounts", self.mounts),
            ("loop_devices", self.loop_devices),
            ("cgroups", self.cgroups),
            ("descriptors", self.descriptors),
            ("layers", self.layers),
        ]
    }
}

impl Sub for Holdings {
    type Output = Self;

    /// How much more it is than `earlier`; of memory, how much less is available.
    fn sub(self, earlier: Self) -> Self {
        let pair = |later: Option<Bytes>, earlier: Option<Bytes>| Some(later?.saturating_sub(earlier?));
        Self {
            mounts: self.mounts.saturating_sub(earlier.mounts),
            loop_devices: self.loop_devices.saturating_sub(earlier.loop_devices),
            cgroups: self.cgroups.saturating_sub(earlier.cgroups),
            descriptors: self.descriptors.saturating_sub(earlier.descriptors),
            layers: self.layers.saturating_sub(earlier.layers),
            disk: pair(self.disk, earlier.disk),
            memory_available: pair(earlier.memory_available, self.memory_available),
        }
    }
}
