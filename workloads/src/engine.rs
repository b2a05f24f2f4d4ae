//! The port: what a workload needs from the harness.

use std::{
    collections::BTreeMap,
    ops::{Add, Sub},
    path::{Path, PathBuf},
    time::Duration,
};

use storage_driver::{Bytes, CopiedUp, LayerId, StorageDriver};

use crate::{Holdings, Result, SharedContainers, Space};

/// Builds and runs images on one driver, and counts what its device did.
pub trait Engine {
    /// The driver under test, for workloads at its level.
    fn driver(&self) -> &dyn StorageDriver;

    /// Makes sure that a base image and its layers are there, so that no measurement pays for them, and names the topmost
    /// layer: sealed, `None` for an image without layers.
    ///
    /// # Errors
    /// When there is no such base image, or it cannot be laid out on the driver.
    fn ensure_base(&mut self, name: &str) -> Result<Option<LayerId>>;

    /// Builds an image.
    ///
    /// # Errors
    /// What the builder said.
    fn build(&mut self, spec: &BuildSpec<'_>) -> Result<BuildReport>;

    /// Runs a container to its end, and removes it.
    ///
    /// # Errors
    /// When it could not be started; a status other than 0 is no error here.
    fn run(&mut self, spec: &RunSpec<'_>) -> Result<RunReport>;

    /// Prepares to make containers of an image, whose layers are laid out; a base image is made if it is not there.
    ///
    /// # Errors
    /// When there is no such image, or it cannot be laid out on the driver.
    fn containers(&mut self, image: &str) -> Result<SharedContainers>;

    /// Makes a database of so many rows as a file of the host, the same bytes for the same seed.
    ///
    /// # Errors
    /// When SQLite refuses.
    fn make_database(&mut self, file: &Path, rows: u64, seed: u64) -> Result<()>;

    /// Syncs, and counts what this program and its driver hold of the machine.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn holdings(&mut self) -> Result<Holdings>;

    /// Memory that the machine could still give to programs; `None` where that cannot be told. Unlike [`holdings`](Self::holdings) it
    /// syncs nothing, so it can be asked in the middle of work.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn memory_available(&mut self) -> Result<Option<Bytes>>;

    /// What is left where the driver keeps its layers; `None` where that cannot be told.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn space(&mut self) -> Result<Option<Space>>;

    /// In how many pieces a file lies on its device, after it was written there; `None` where that cannot be told.
    ///
    /// # Errors
    /// When the file cannot be opened or written.
    fn extents(&mut self, file: &Path) -> Result<Option<u64>>;

    /// Writes through a shared memory mapping of a file, which has to be that long already; msync(2) is not called.
    ///
    /// # Errors
    /// When the file cannot be mapped.
    fn map_write(&mut self, file: &Path, offset: u64, bytes: &[u8]) -> Result<()>;

    /// How many bytes of a file the page cache holds, as mincore(2) tells.
    ///
    /// # Errors
    /// When the file cannot be mapped.
    fn cached(&mut self, file: &Path) -> Result<Bytes>;

    /// Says that something is left out here and why: it is told to the user and kept in the run's record, once.
    fn leave_out(&mut self, what: &str, why: &str);

    /// Removes an image and the layers that only it needs.
    ///
    /// # Errors
    /// When there is no such image, or the driver refuses.
    fn remove_image(&mut self, name: &str) -> Result<()>;

    /// Syncs, and reads the device's counters; `None` where the driver has no device of its own.
    ///
    /// # Errors
    /// When syncing fails.
    fn counters(&mut self) -> Result<Option<DeviceCounters>>;

    /// What this process and its ended children took of the processor so far.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn processor(&mut self) -> Result<Processor>;

    /// Syncs, and makes the kernel forget what it cached of files; false where it does not let us.
    ///
    /// # Errors
    /// When syncing fails.
    fn drop_caches(&mut self) -> Result<bool>;

    /// True once the user has asked to stop.
    fn is_stopped(&self) -> bool;
}

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildSpec<'a> {
    /// The build context; its Dockerfile is in it.
    pub context: &'a Path,
    /// The Dockerfile, where it is another.
    pub dockerfile: Option<PathBuf>,
    /// Name of the image.
    pub tag: &'a str,
    /// Whether earlier builds' layers may be used.
    pub use_cache: bool,
    /// Sample the device's counters at every step, which syncs it each time.
    pub count_device: bool,
    /// What the Dockerfile needs from outside.
    pub options: BuildOptions,
}

/// What a Dockerfile needs from outside.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// The stage to build; the last by default.
    pub target: Option<String>,
    /// Values of its ARGs.
    pub args: BTreeMap<String, String>,
    /// RUN steps see the host's network; otherwise the loopback only.
    pub host_network: bool,
}

/// What a build did.
#[derive(Debug, Clone, Default)]
pub struct BuildReport {
    /// From the parsed Dockerfile to the tagged image.
    pub total: Duration,
    /// One for each instruction, in the order in which they ran.
    pub steps: Vec<StepReport>,
}

/// What one instruction did.
#[derive(Debug, Clone, Default)]
pub struct StepReport {
    /// As in the Dockerfile, on one line.
    pub instruction: String,
    /// It came from the cache.
    pub cached: bool,
    /// The digest of the layer tar it made, as images name it.
    pub diff_id: Option<String>,
    /// Where the time went.
    pub times: StepTimes,
    /// The layer it made, unless it changed the configuration only.
    pub layer: Option<LayerReport>,
    /// What the device did meanwhile.
    pub device: Option<DeviceCounters>,
}

/// Where the time of an instruction went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// Making the writable layer.
    pub prepare: Duration,
    /// Mounting and unmounting it.
    pub mount: Duration,
    /// Running the command, or copying the files.
    pub run: Duration,
    /// Writing the layer tar.
    pub diff: Duration,
    /// Sealing and recording it.
    pub commit: Duration,
}

impl StepTimes {
    /// The phases by name, in their order.
    #[must_use]
    pub const fn phases(&self) -> [(&'static str, Duration); 5] {
        [
            ("prepare", self.prepare),
            ("mount", self.mount),
            ("run", self.run),
            ("diff", self.diff),
            ("commit", self.commit),
        ]
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.phases().iter().map(|(_, time)| *time).sum()
    }
}

/// A layer that an instruction made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerReport {
    /// Bytes of the layer tar.
    pub size: Bytes,
    /// Entries in it.
    pub entries: u64,
    /// Bytes allocated for it alone.
    pub exclusive: Bytes,
    /// What the driver had to copy from the parent.
    pub copied_up: CopiedUp,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct RunSpec<'a> {
    /// The image.
    pub image: &'a str,
    /// The command; empty for the image's own.
    pub command: Vec<String>,
}

/// What a container did.
#[derive(Debug, Clone, Default)]
pub struct RunReport {
    /// As a shell sees it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Making the writable layer and mounting it.
    pub prepare: Duration,
    /// From there until the program runs.
    pub start: Duration,
    /// From there until it has ended.
    pub run: Duration,
    /// Unmounting and removing.
    pub remove: Duration,
}

/// What a block device did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// Bytes read.
    pub read: Bytes,
    /// Bytes written.
    pub written: Bytes,
    /// Read requests.
    pub reads: u64,
    /// Write requests.
    pub writes: u64,
    /// Flush requests.
    pub flushes: u64,
}

impl Sub for DeviceCounters {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            read: self.read - earlier.read,
            written: self.written - earlier.written,
            reads: self.reads.saturating_sub(earlier.reads),
            writes: self.writes.saturating_sub(earlier.writes),
            flushes: self.flushes.saturating_sub(earlier.flushes),
        }
    }
}

impl Add for DeviceCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            written: self.written + other.written,
            reads: self.reads.saturating_add(other.reads),
            writes: self.writes.saturating_add(other.writes),
            flushes: self.flushes.saturating_add(other.flushes),
        }
    }
}

/// What was taken of the processor so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processor {
    /// Time in user mode and in the kernel.
    pub cpu: Duration,
    /// System calls, where they can be counted.
    pub syscalls: Option<u64>,
}

impl Sub for Processor {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        let syscalls = self.syscalls.zip(earlier.syscalls).map(|(later, earlier)| later.saturating_sub(earlier));
        Self { cpu: self.cpu.saturating_sub(earlier.cpu), syscalls }
    }
}

impl Add for Processor {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let syscalls = match (self.syscalls, other.syscalls) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        Self { cpu: self.cpu + other.cpu, syscalls }
    }
}
