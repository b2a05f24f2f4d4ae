//! Containers as people describe them to docker, made into OCI runtime specifications.

mod devices;
mod mounts;
mod resources;
mod spec;
mod user;

use std::path::PathBuf;

use oci_spec::runtime::{Capability, LinuxSeccomp};

pub use self::{
    spec::spec,
    user::{ResolvedUser, resolve_user},
};

/// The search path of containers whose image sets none, as docker has it.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A container's configuration, with docker's defaults.
#[derive(Debug, Clone)]
pub struct ContainerConfig {
    /// The root file system on the host; absolute.
    pub rootfs: PathBuf,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=value`; added to, and stronger than, docker's `PATH`, `HOSTNAME`, `HOME` and, with a terminal, `TERM`.
    pub env: Vec<String>,
    /// The working directory, `/` by default; made if it is missing.
    pub cwd: PathBuf,
    /// `user`, `user:group`, names or numbers; names are those of the image. Root by default.
    pub user: Option<String>,
    /// Further groups, names or numbers.
    pub group_add: Vec<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// The NIS domain name.
    pub domainname: Option<String>,
    /// Whether the standard streams are a terminal.
    pub tty: bool,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Files and directories of the host.
    pub binds: Vec<Bind>,
    /// File systems in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Limit of memory in bytes.
    pub memory: Option<u64>,
    /// Limit of memory and swap together in bytes; twice the memory by default, as docker's.
    pub memory_swap: Option<u64>,
    /// The memory, in bytes, above which the kernel takes from this container first.
    pub memory_reservation: Option<u64>,
    /// How readily its memory is swapped out, 0 to 100; on cgroups of version 1 only.
    pub memory_swappiness: Option<u64>,
    /// Whether its processes wait for memory instead of being killed; on cgroups of version 1 only.
    pub oom_kill_disable: bool,
    /// Limit of processor time, in processors.
    pub cpus: Option<f64>,
    /// The same in the kernel's words: microseconds of processor time in each period; instead of `cpus`.
    pub cpu_quota: Option<i64>,
    /// The length of that period in microseconds.
    pub cpu_period: Option<u64>,
    /// The weight of its processor time; others have 1024.
    pub cpu_shares: Option<u64>,
    /// The processors that it may use, such as `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// The memory nodes that it may use.
    pub cpuset_mems: Option<String>,
    /// The weight of its block I/O, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Limits of what it reads from and writes to block devices.
    pub throttles: Vec<Throttle>,
    /// Limit of the number of processes.
    pub pids_limit: Option<u64>,
    /// Capabilities beyond the default ones.
    pub cap_add: Capabilities,
    /// Capabilities to take away.
    pub cap_drop: Capabilities,
    /// All capabilities and devices, no filter, nothing masked.
    pub privileged: bool,
    /// Whether nothing of /proc and /sys is hidden or read-only.
    pub unmasked: bool,
    /// Devices of the host, besides those that every container has.
    pub devices: Vec<HostDevice>,
    /// Further devices that it may open, as docker's `--device-cgroup-rule` has them: `c 42:* rwm`. The built-in runtime
    /// refuses those that are not among its devices.
    pub device_rules: Vec<String>,
    /// The filter of system calls.
    pub seccomp: Seccomp,
    /// The ids of its own user namespace: first in the container, first on the host, how many; the host's for none.
    pub uid_map: Vec<(u32, u32, u32)>,
    /// The same of groups.
    pub gid_map: Vec<(u32, u32, u32)>,
    /// Whether programs can gain privileges by executing others (set-user-ID and the like). Docker lets them; this
    /// runtime does not by default.
    pub no_new_privileges: bool,
    /// The network.
    pub network: Network,
    /// Whose processes it sees, and is among.
    pub pid: Namespace,
    /// Whose System V and POSIX message queues, semaphores and shared memory it has.
    pub ipc: Namespace,
    /// Whose host name it has.
    pub uts: Namespace,
    /// What it sees of its cgroups.
    pub cgroups: Cgroups,
    /// The cgroup in which its own is made, below the trees; this program's by default.
    pub cgroups_path: Option<PathBuf>,
    /// Resource limits: name as in `ulimit` (`nofile`), soft, hard.
    pub ulimits: Vec<(String, u64, u64)>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: Vec<(String, String)>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// What is there.
    pub shm: Shm,
    /// For programs that read the specification.
    pub annotations: Vec<(String, String)>,
    /// Adjustment of the kernel's choice of what to kill for want of memory.
    pub oom_score_adj: Option<i32>,
}

impl ContainerConfig {
    /// A container with this root file system and program, and docker's defaults else.
    #[must_use]
    pub fn new<A: Into<String>>(rootfs: impl Into<PathBuf>, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            rootfs: rootfs.into(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/".into(),
            user: None,
            uid_map: Vec::new(),
            gid_map: Vec::new(),
            group_add: Vec::new(),
            hostname: None,
            domainname: None,
            tty: false,
            read_only: false,
            binds: Vec::new(),
            tmpfs: Vec::new(),
            memory: None,
            memory_swap: None,
            memory_reservation: None,
            memory_swappiness: None,
            oom_kill_disable: false,
            cpus: None,
            cpu_quota: None,
            cpu_period: None,
            cpu_shares: None,
            cpuset_cpus: None,
            cpuset_mems: None,
            blkio_weight: None,
            throttles: Vec::new(),
            pids_limit: None,
            cap_add: Capabilities::default(),
            cap_drop: Capabilities::default(),
            privileged: false,
            unmasked: false,
            devices: Vec::new(),
            device_rules: Vec::new(),
            seccomp: Seccomp::Default,
            no_new_privileges: true,
            network: Network::None,
            pid: Namespace::Own,
            ipc: Namespace::Own,
            uts: Namespace::Own,
            cgroups: Cgroups::Hidden,
            cgroups_path: None,
            ulimits: Vec::new(),
            sysctls: Vec::new(),
            shm_size: 64 << 20,
            shm: Shm::New,
            annotations: Vec::new(),
            oom_score_adj: None,
        }
    }
}

/// Something of the host that the container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host; absolute.
    pub source: PathBuf,
    /// In the container; absolute, made if it is missing.
    pub target: PathBuf,
    /// Whether the container cannot change it, nor what is mounted below.
    pub read_only: bool,
    /// How mounts travel between it and its source: `rprivate` and the like, see mount(8).
    pub propagation: &'static str,
    /// Whether what is mounted below it comes along.
    pub recursive: bool,
}

impl Bind {
    /// One that can be written to, with all that is mounted below; mounts do not travel.
    #[must_use]
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            read_only: false,
            propagation: "rprivate",
            recursive: true,
        }
    }
}

/// An empty file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// In the container; absolute, made if it is missing.
    pub target: PathBuf,
    /// Options as of mount(8), such as `size=64m`; docker's `noexec,nosuid,nodev` come before them.
    pub options: Vec<String>,
}

/// A set of capabilities in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capabilities {
    /// These.
    Only(Vec<Capability>),
    /// All that this process has itself.
    All,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

/// Which filter of system calls a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// Docker's default profile for the container's capabilities.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// This one.
    Profile(Box<LinuxSeccomp>),
}

/// Which network a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Network {
    /// Its own, with a loopback interface only.
    #[default]
    None,
    /// Its own, in which [`Launch::prepare`](crate::Launch::prepare) makes more interfaces.
    Prepared,
    /// The network namespace that this file is.
    Joined(PathBuf),
    /// The host's.
    Host,
}

/// Whose namespace of one kind a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Namespace {
    /// Its own.
    #[default]
    Own,
    /// The one that this file is.
    Joined(PathBuf),
    /// The host's.
    Host,
}

/// What a container sees of its cgroups at `/sys/fs/cgroup`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cgroups {
    /// Nothing.
    #[default]
    Hidden,
    /// Its own as the root of all: it has a cgroup namespace.
    Own,
    /// The host's, or on version 1 what is below its own.
    Host,
}

/// What a container has at `/dev/shm`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shm {
    /// A file system of its own in memory.
    #[default]
    New,
    /// None.
    Nothing,
    /// What is at this place of the host.
    Of(PathBuf),
}

/// A device of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// On the host: a device, or a directory whose devices are meant.
    pub source: PathBuf,
    /// In the container; below `/dev`.
    pub target: PathBuf,
    /// Some of `r`, `w` and `m` (mknod).
    pub access: String,
}

/// A limit of a block device's use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttle {
    /// The device's node on the host.
    pub device: PathBuf,
    /// Whether it is about reading.
    pub read: bool,
    /// Whether it counts operations rather than bytes.
    pub operations: bool,
    /// A second.
    pub rate: u64,
}
