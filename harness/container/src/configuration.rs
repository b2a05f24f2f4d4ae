//! What a container runs, and in what: everything that is known before it is started.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use harness_image::HealthCheck;
use serde::{Deserialize, Serialize};

use crate::RestartPolicy;

/// A container's configuration: the image's, and what the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// How many of the words are the entry point.
    pub entrypoint: usize,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// The working directory; empty for `/`.
    pub workdir: String,
    /// Who runs it, if not root.
    pub user: Option<String>,
    /// The ids of its own user namespace: first in the container, first on the host, how many. None for the host's.
    pub uid_map: Vec<(u32, u32, u32)>,
    /// The same of groups.
    pub gid_map: Vec<(u32, u32, u32)>,
    /// Further groups.
    pub group_add: Vec<String>,
    /// The host name; the beginning of the id by default.
    pub hostname: Option<String>,
    /// The NIS domain name.
    pub domainname: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub open_stdin: bool,
    /// Whether it was made by a command that stays in front of it.
    pub in_front: bool,
    /// Whether a small init is process 1.
    pub init: bool,
    /// Whether its root is read-only.
    pub read_only: bool,
    /// What is mounted in it.
    pub mounts: Vec<Mount>,
    /// Limits.
    pub resources: Resources,
    /// Capabilities beyond docker's default ones, by name; `ALL` for all.
    pub cap_add: Vec<String>,
    /// Capabilities to take away.
    pub cap_drop: Vec<String>,
    /// All capabilities and devices, no filter, nothing masked.
    pub privileged: bool,
    /// Whether nothing of /proc and /sys is hidden or read-only.
    pub unmasked: bool,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Further devices that it may open, as in `c 42:* rwm`.
    pub device_rules: Vec<String>,
    /// The filter of system calls.
    pub seccomp: Seccomp,
    /// Whether set-user-ID programs may gain privileges.
    pub new_privileges: bool,
    /// The network.
    pub network: Network,
    /// Whose processes it sees.
    pub pid: Share,
    /// Whose message queues, semaphores and shared memory it has.
    pub ipc: Ipc,
    /// Whether its host name is the host's.
    pub host_uts: bool,
    /// Whether its cgroup is the root of all for it; by default on version 2, as docker's.
    pub own_cgroup_namespace: Option<bool>,
    /// The cgroup in which its own is made.
    pub cgroup_parent: Option<PathBuf>,
    /// Its address of Ethernet on a bridge, if not any.
    pub mac_address: Option<String>,
    /// Ports to be published, as `-p` has them.
    pub publish: Vec<String>,
    /// Ports on which it listens, `80/tcp`: the image's, and those that were told.
    pub expose: Vec<String>,
    /// Name servers, instead of the host's.
    pub dns: Vec<String>,
    /// Domains in which it looks for names, in place of the host's.
    pub dns_search: Vec<String>,
    /// Options of its resolver, in place of the host's.
    pub dns_options: Vec<String>,
    /// `name:address` for /etc/hosts.
    pub add_host: Vec<String>,
    /// Name as in `ulimit`, soft, hard.
    pub ulimits: Vec<(String, u64, u64)>,
    /// Kernel parameters of its namespaces.
    pub sysctls: Vec<(String, String)>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// The signal that asks it to end; SIGTERM by default.
    pub stop_signal: Option<i32>,
    /// How many seconds it has for that; 10 by default.
    pub stop_timeout: Option<u64>,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How to find out whether it works.
    pub health: Option<HealthCheck>,
    /// For people and programs.
    pub labels: BTreeMap<String, String>,
    /// For the OCI runtime, in the specification.
    pub annotations: BTreeMap<String, String>,
    /// What becomes of its output.
    pub log: LogOptions,
    /// An OCI runtime that runs it instead of this program's own.
    pub oci_runtime: Option<PathBuf>,
}

impl Configuration {
    /// The signal that asks it to end.
    #[must_use]
    pub fn stop_signal(&self) -> i32 {
        self.stop_signal.unwrap_or(nix::sys::signal::SIGTERM as i32)
    }

    /// How many seconds it has after that signal.
    #[must_use]
    pub fn stop_timeout(&self) -> u64 {
        self.stop_timeout.unwrap_or(10)
    }

    /// The names of the volumes that it mounts.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { name, .. } => Some(name.as_str()),
            MountSource::Bind { .. } | MountSource::Tmpfs { .. } => None,
        })
    }

    /// The names of the volumes that were made for it without a name.
    pub(crate) fn own_volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { name, anonymous: true, .. } => Some(name.as_str()),
            _ => None,
        })
    }
}

/// Something that is mounted in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where; absolute.
    pub target: PathBuf,
    /// What.
    pub source: MountSource,
    /// Whether the container cannot write to it.
    pub read_only: bool,
}

/// Where a mount's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountSource {
    /// A file or directory of the host.
    Bind {
        /// On the host; absolute.
        path: PathBuf,
        /// Whether an empty directory is made where nothing is.
        create: bool,
        /// Whether mounts below it travel between host and container; private with all below by default.
        #[serde(default)]
        propagation: Propagation,
        /// Whether what is mounted below it comes along.
        #[serde(default = "comes_along")]
        recursive: bool,
    },
    /// A volume, made where there is none.
    Volume {
        /// Its name.
        name: String,
        /// Whether nobody named it, so that it goes with the container where that is asked for.
        anonymous: bool,
        /// Whether an empty volume gets what the image has at that place.
        fill: bool,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// As of mount(8).
        options: Vec<String>,
    },
}

const fn comes_along() -> bool {
    true
}

/// How mounts travel between a bind mount and its source (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Not at all.
    Private,
    /// Both ways.
    Shared,
    /// To the container.
    Slave,
    /// Not at all, also of what is mounted below.
    #[default]
    RPrivate,
    /// Both ways, also of what is mounted below.
    RShared,
    /// To the container, also of what is mounted below.
    RSlave,
}

impl Propagation {
    /// Its name, as mount(8) has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::Slave => "slave",
            Self::RPrivate => "rprivate",
            Self::RShared => "rshared",
            Self::RSlave => "rslave",
        }
    }
}

impl FromStr for Propagation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Private, Self::Shared, Self::Slave, Self::RPrivate, Self::RShared, Self::RSlave];
        let found = all.into_iter().find(|propagation| propagation.name() == name);
        found.ok_or_else(|| format!("{name:?} is no propagation; [r]private, [r]shared or [r]slave"))
    }
}

/// Limits. Amounts of memory are in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// The most memory.
    pub memory: Option<u64>,
    /// The most memory and swap together.
    pub memory_swap: Option<u64>,
    /// What it is pushed back to when the host's memory gets short.
    pub memory_reservation: Option<u64>,
    /// How readily its memory is swapped out, 0 to 100.
    pub memory_swappiness: Option<u64>,
    /// Whether its processes wait for memory instead of being killed.
    pub oom_kill_disable: bool,
    /// The most processor time, in processors.
    pub cpus: Option<f64>,
    /// The same in the kernel's words: microseconds of processor time in each period.
    pub cpu_quota: Option<i64>,
    /// The length of that period in microseconds.
    pub cpu_period: Option<u64>,
    /// Its share of processor time against others'; 1024 is the usual one.
    pub cpu_shares: Option<u64>,
    /// Processors, as in `0-3,5`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// The weight of its block I/O, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// What it may read from and write to block devices.
    pub throttles: Vec<Throttle>,
    /// The most processes.
    pub pids_limit: Option<u64>,
    /// Adjustment of the kernel's choice of what to kill for want of memory.
    pub oom_score_adj: Option<i32>,
}

/// A device of the host, or a directory of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Some of `r`, `w` and `m`.
    pub access: String,
}

/// What may be read from or written to a block device a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Its node on the host.
    pub device: PathBuf,
    /// Whether it is about reading.
    pub read: bool,
    /// Whether operations are counted rather than bytes.
    pub operations: bool,
    /// A second.
    pub rate: u64,
}

/// Which filter of system calls a container has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// Docker's default.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// A profile in docker's or OCI's form.
    Profile(serde_json::Value),
}

/// Which network a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Its own, with a loopback interface only.
    #[default]
    None,
    /// The host's.
    Host,
    /// Its own, on a bridge with those of other containers.
    Bridge,
    /// That of another container, by id.
    Container(String),
}

/// Whose namespace of one kind a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// Its own.
    #[default]
    None,
    /// The host's.
    Host,
    /// That of another container, by id.
    Container(String),
}

/// Which message queues, semaphores and shared memory a container has, System V's and POSIX's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipc {
    /// Its own.
    #[default]
    Private,
    /// Its own, which other containers may share.
    Shareable,
    /// Its own, without `/dev/shm`.
    None,
    /// The host's.
    Host,
    /// Those of another container, by id.
    Container(String),
}

impl Network {
    /// Docker's word for it.
    #[must_use]
    pub fn mode(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Host => "host".to_owned(),
            Self::Bridge => "bridge".to_owned(),
            Self::Container(id) => format!("container:{id}"),
        }
    }
}

/// What becomes of a container's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// Whether nothing is kept.
    pub off: bool,
    /// The size in bytes at which a new file is begun.
    pub max_size: Option<u64>,
    /// How many files are kept; 1 by default.
    pub max_files: Option<u32>,
}
