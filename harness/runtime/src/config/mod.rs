//! Containers as people describe them to docker, made into OCI runtime specifications.

mod host_devices;
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
    /// The weight of its processor time; others have 1024.
    pub cpu_shares: Option<u64>,
    /// The processors that it may use, such as `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// The memory nodes that it may use.
    pub cpuset_mems: Option<String>,
    /// The weight of its block I/O, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Limit of the number of processes.
    pub pids_limit: Option<u64>,
    /// Capabilities beyond the default ones.
    pub cap_add: Capabilities,
    /// Capabilities to take away.
    pub cap_drop: Capabilities,
    /// All capabilities and devices, no filter, nothing masked.
    pub privileged: bool,
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
    /// Resource limits: name as in `ulimit` (`nofile`), soft, hard.
    pub ulimits: Vec<(String, u64, u64)>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: Vec<(String, String)>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
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
            cpu_shares: None,
            cpuset_cpus: None,
            cpuset_mems: None,
            blkio_weight: None,
            pids_limit: None,
            cap_add: Capabilities::default(),
            cap_drop: Capabilities::default(),
            privileged: false,
            seccomp: Seccomp::Default,
            no_new_privileges: true,
            network: Network::None,
            ulimits: Vec::new(),
            sysctls: Vec::new(),
            shm_size: 64 << 20,
            oom_score_adj: None,
        }
    }
}

/// Something of the host that the container sees, with all that is mounted below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host; absolute.
    pub source: PathBuf,
    /// In the container; absolute, made if it is missing.
    pub target: PathBuf,
    /// Whether the container cannot change it, nor what is mounted below.
    pub read_only: bool,
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
