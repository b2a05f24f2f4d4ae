//! The options of `run` and `create`, docker's.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context;
use clap::Args;
use harness_container::{Configuration, LogOptions, Network, Resources, RestartPolicy, Seccomp, Supervisor, signal};
use harness_image::Image;
use storage_driver::Bytes;

use super::{environment, health, mounts};
use crate::{
    engine::containers,
    failure::{Failure, Result},
    size,
};

/// What a container is made with.
#[derive(Debug, Clone, Args)]
pub struct ContainerOptions {
    /// Keep standard input open
    #[arg(long, short)]
    pub interactive: bool,
    /// Give the container a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// Remove the container, and its anonymous volumes, when it ends
    #[arg(long)]
    pub rm: bool,
    /// The container's name [default: two words]
    #[arg(long)]
    pub name: Option<String>,
    /// Write the container's id to a file, which must not be there
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// Whether to ask registries for the image
    #[arg(long, value_name = "WHEN", default_value = "missing", value_parser = ["missing", "always", "never"])]
    pub pull: String,
    /// Set an environment variable; without =VALUE it is taken from the environment
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Read environment variables from a file, one a line
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Working directory
    #[arg(long, short, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User, and optionally group, by name or id
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// A further group, by name or id
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Host name [default: the beginning of the container's id]
    #[arg(long, short = 'h', value_name = "NAME")]
    pub hostname: Option<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Program to run instead of the image's entrypoint; empty for none
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Mount a file or directory of the host, or a volume by its name; a path alone makes a volume without a name
    #[arg(long, short, value_name = "[HOST|NAME:]CONTAINER[:ro]")]
    pub volume: Vec<String>,
    /// Mount something: type=bind|volume|tmpfs,source=...,target=...[,readonly][,volume-nocopy][,tmpfs-size=...]
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub mount: Vec<String>,
    /// Give the container users of its own: which of its ids are which of the host's (on vfs and btrfs; root only); may be
    /// given several times
    #[arg(long, value_name = "CONTAINER:HOST:SIZE", value_parser = id_map)]
    pub uidmap: Vec<(u32, u32, u32)>,
    /// The same of groups [default: as --uidmap]
    #[arg(long, value_name = "CONTAINER:HOST:SIZE", value_parser = id_map, requires = "uidmap")]
    pub gidmap: Vec<(u32, u32, u32)>,
    /// Whose users it has otherwise: host
    #[arg(long, value_name = "HOST", value_parser = ["host"], conflicts_with = "uidmap")]
    pub userns: Option<String>,
    /// Mount an empty tmpfs
    #[arg(long, value_name = "DIR[:OPTIONS]")]
    pub tmpfs: Vec<String>,
    /// Mount the container's root read-only
    #[arg(long)]
    pub read_only: bool,
    /// Memory limit, such as 512m
    #[arg(long, short, value_name = "BYTES")]
    pub memory: Option<String>,
    /// Limit of memory and swap together; -1 for none [default: twice the memory]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// What memory is pushed back to when the host's gets short
    #[arg(long, value_name = "BYTES")]
    pub memory_reservation: Option<String>,
    /// How readily its memory is swapped out, 0 to 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100))]
    pub memory_swappiness: Option<u64>,
    /// Let processes wait for memory instead of killing them
    #[arg(long)]
    pub oom_kill_disable: bool,
    /// Weight of its block I/O, 10 to 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(10..=1000))]
    pub blkio_weight: Option<u16>,
    /// CPU limit in CPUs, such as 1.5
    #[arg(long, value_name = "N")]
    pub cpus: Option<f64>,
    /// Share of CPU time against other containers'; 1024 is the usual one
    #[arg(long, short, value_name = "N")]
    pub cpu_shares: Option<u64>,
    /// CPUs to run on, such as 0-3,5
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// Most processes; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pids_limit: Option<i64>,
    /// How willingly the kernel kills it for want of memory, -1000 to 1000
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub oom_score_adj: Option<i32>,
    /// Give a capability, such as NET_ADMIN, or ALL
    #[arg(long, value_name = "CAP")]
    pub cap_add: Vec<String>,
    /// Take a capability, or ALL
    #[arg(long, value_name = "CAP")]
    pub cap_drop: Vec<String>,
    /// All capabilities, no seccomp filter, nothing masked
    #[arg(long)]
    pub privileged: bool,
    /// seccomp=unconfined, seccomp=FILE, or no-new-privileges[=false]
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub security_opt: Vec<String>,
    /// Run a small init as process 1, which forwards signals and reaps
    #[arg(long)]
    pub init: bool,
    /// A resource limit, as ulimit has them
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// A kernel parameter of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    pub sysctl: Vec<String>,
    /// Size of /dev/shm [default: 64m]
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// Signal that asks the container to end [default: the image's, else SIGTERM]
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds it has for that until it is killed [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub stop_timeout: Option<u64>,
    /// When to start it again: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no")]
    pub restart: String,
    #[command(flatten)]
    pub health: health::HealthOptions,
    /// A label for people and programs
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub label: Vec<String>,
    /// What becomes of the output besides: json-file keeps it for `logs`, none does not
    #[arg(long, value_name = "NAME", default_value = "json-file", value_parser = ["json-file", "none"])]
    pub log_driver: String,
    /// max-size=BYTES and max-file=N begin a new log file, and bound their number
    #[arg(long, value_name = "NAME=VALUE")]
    pub log_opt: Vec<String>,
    /// The network: none, host, bridge, or container:NAME [default: bridge where ports are published, else none]
    #[arg(long, visible_alias = "net", value_name = "NAME")]
    pub network: Option<String>,
    /// Publish a container's port on the host
    #[arg(long, short, value_name = "[[IP:]HOST:]PORT[/udp]")]
    pub publish: Vec<String>,
    /// Publish the ports that the image exposes, on ports that are free
    #[arg(long, short = 'P')]
    pub publish_all: bool,
    /// A name server, instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// A domain in which names are looked for, instead of the host's; `.` for none
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// An option of the resolver, such as ndots:2, instead of the host's
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// A line of /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// size=BYTES limits what the container's layer may hold
    #[arg(long, value_name = "NAME=VALUE")]
    pub storage_opt: Vec<String>,
    /// Run it with this OCI runtime (runc, crun, youki) instead of the built-in one
    #[arg(long, value_name = "PATH")]
    pub oci_runtime: Option<PathBuf>,
    /// The image, and the command and its arguments [default: the image's]; what stands behind the image is the command's, whatever
    /// it looks like
    #[arg(required = true, value_name = "IMAGE", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl ContainerOptions {
    /// The image.
    pub fn image(&self) -> Result<&str> {
        match self.words.first().map(String::as_str) {
            Some(image) if !image.starts_with('-') => Ok(image),
            other => {
                Err(Failure::usage(format!("there is no option {}; --help lists them", other.unwrap_or_default())))
            }
        }
    }

    /// The command and its arguments.
    fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// What the container's layer may hold at the most.
    pub fn layer_size(&self) -> Result<Option<Bytes>> {
        let size = |option: &String| {
            let size = option
                .strip_prefix("size=")
                .ok_or_else(|| Failure::usage(format!("--storage-opt takes size=BYTES, not {option:?}")))?;
            size::parse(size).map_err(Failure::usage)
        };
        Ok(self.storage_opt.iter().map(size).collect::<Result<Vec<_>>>()?.pop())
    }

    /// The configuration of a container of `image`. Everything that can be wrong with the options is said here.
    pub fn configuration(&self, image: &Image) -> Result<Configuration> {
        let entrypoint = self.entrypoint();
        let words = containers::words(image, entrypoint.as_deref(), self.command());
        if words.is_empty() {
            return Err(Failure::usage(format!("the image {} has no command; give one", self.image()?)));
        }
        let of_image = image.config.config().as_ref();
        let image_words = of_image.and_then(|config| config.entrypoint().clone());
        let mut configuration = Configuration {
            entrypoint: entrypoint.or(image_words).map_or(0, |words| words.len()),
            words,
            env: self.environment(image)?,
            workdir: self.workdir.clone().or_else(|| of_image?.working_dir().clone()).unwrap_or_default(),
            user: self.user.clone().or_else(|| of_image?.user().clone()).filter(|user| !user.is_empty()),
            uid_map: self.uidmap.clone(),
            gid_map: if self.gidmap.is_empty() { self.uidmap.clone() } else { self.gidmap.clone() },
            group_add: self.group_add.clone(),
            hostname: self.hostname.clone(),
            tty: self.tty,
            open_stdin: self.interactive,
            init: self.init,
            read_only: self.read_only,
            mounts: mounts::of(self, image)?,
            resources: self.resources()?,
            cap_add: self.cap_add.clone(),
            cap_drop: self.cap_drop.clone(),
            privileged: self.privileged,
            network: self.network()?,
            publish: self.published(image),
            dns: self.dns.clone(),
            dns_search: self.dns_search.clone(),
            dns_options: self.dns_option.clone(),
            add_host: self.add_host.clone(),
            ulimits: self.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_>>()?,
            sysctls: self.sysctl.iter().map(|text| pair("--sysctl", text)).collect::<Result<_>>()?,
            shm_size: bytes(self.shm_size.as_deref())?,
            stop_signal: self.stop_signal(image)?,
            stop_timeout: self.stop_timeout,
            restart: self.restart.parse::<RestartPolicy>().map_err(Failure::usage)?,
            health: self.health.of(image.docker.healthcheck.as_ref())?,
            labels: self.labels(image),
            log: self.log()?,
            oci_runtime: self.oci_runtime.clone(),
            // As docker: unless it is asked for, set-user-ID programs work.
            new_privileges: true,
            ..Configuration::default()
        };
        self.security(&mut configuration)?;
        if self.rm && configuration.restart != RestartPolicy::No {
            return Err(Failure::usage("--rm and --restart contradict each other; leave one of them out"));
        }
        Supervisor::check(&configuration).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(configuration)
    }

    fn entrypoint(&self) -> Option<Vec<String>> {
        let program = self.entrypoint.as_ref()?;
        Some(if program.is_empty() { Vec::new() } else { vec![program.clone()] })
    }

    fn environment(&self, image: &Image) -> Result<Vec<String>> {
        let mut env = image.config.config().as_ref().and_then(|config| config.env().clone()).unwrap_or_default();
        for (name, value) in environment::given(&self.env_file, &self.env)? {
            env.retain(|known| known.split('=').next() != Some(&name));
            env.extend(value.map(|value| format!("{name}={value}")));
        }
        Ok(env)
    }

    fn resources(&self) -> Result<Resources> {
        let memory_swap = match self.memory_swap.as_deref() {
            Some("-1") => Some(i64::MAX as u64),
            other => bytes(other)?,
        };
        if self.memory.is_none() && memory_swap.is_some() {
            return Err(Failure::usage("--memory-swap needs --memory, too"));
        }
        Ok(Resources {
            memory: bytes(self.memory.as_deref())?,
            memory_swap,
            memory_reservation: bytes(self.memory_reservation.as_deref())?,
            memory_swappiness: self.memory_swappiness,
            oom_kill_disable: self.oom_kill_disable,
            blkio_weight: self.blkio_weight,
            cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            pids_limit: self.pids_limit.and_then(|limit| u64::try_from(limit).ok()).filter(|&limit| limit > 0),
            oom_score_adj: self.oom_score_adj,
        })
    }

    /// What was asked for, and with `--publish-all` what else the image exposes.
    fn published(&self, image: &Image) -> Vec<String> {
        let exposed = image.config.config().as_ref().and_then(|config| config.exposed_ports().clone());
        let exposed = exposed.into_iter().flatten().filter(|_| self.publish_all);
        self.publish.iter().cloned().chain(exposed).collect()
    }

    fn network(&self) -> Result<Network> {
        let publishes = self.publish_all || !self.publish.is_empty();
        let network = match self.network.as_deref() {
            None if publishes => Network::Bridge,
            None | Some("none") => Network::None,
            Some("host") => Network::Host,
            Some("bridge" | "default") => Network::Bridge,
            Some(other) => match other.strip_prefix("container:") {
                Some(name) => Network::Container(name.to_owned()),
                None => {
                    let known = "none, host, bridge or container:NAME";
                    return Err(Failure::usage(format!("there is no network {other}; use {known}")));
                }
            },
        };
        if network != Network::Bridge && publishes {
            return Err(Failure::usage("--publish needs --network bridge"));
        }
        Ok(network)
    }

    fn stop_signal(&self, image: &Image) -> Result<Option<i32>> {
        let of_image = image.config.config().as_ref().and_then(|config| config.stop_signal().clone());
        let name = self.stop_signal.clone().or(of_image).filter(|name| !name.is_empty());
        name.map(|name| signal::parse(&name)).transpose().map_err(Failure::usage)
    }

    fn labels(&self, image: &Image) -> BTreeMap<String, String> {
        let of_image = image.config.config().as_ref().and_then(|config| config.labels().clone());
        let mut labels: BTreeMap<_, _> = of_image.unwrap_or_default().into_iter().collect();
        labels.extend(self.label.iter().map(|label| {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            (name.to_owned(), value.to_owned())
        }));
        labels
    }

    fn log(&self) -> Result<LogOptions> {
        let mut log = LogOptions { off: self.log_driver == "none", ..LogOptions::default() };
        for option in &self.log_opt {
            match option.split_once('=') {
                Some(("max-size", size)) => log.max_size = bytes(Some(size))?,
                Some(("max-file", number)) => {
                    let number = number.parse().ok().filter(|&number| number > 0);
                    log.max_files = Some(number.ok_or_else(|| {
                        Failure::usage(format!("--log-opt max-file takes a number from 1 on, not {option:?}"))
                    })?);
                }
                _ => {
                    return Err(Failure::usage(format!(
                        "--log-opt takes max-size=BYTES and max-file=N, not {option:?}"
                    )));
                }
            }
        }
        Ok(log)
    }

    fn security(&self, configuration: &mut Configuration) -> Result {
        for option in &self.security_opt {
            // Docker takes a colon as well.
            match option.split_once(['=', ':']).unwrap_or((option, "")) {
                ("seccomp", "unconfined") => configuration.seccomp = Seccomp::Unconfined,
                ("seccomp", file) if !file.is_empty() => {
                    let json = fs::read(file).with_context(|| format!("cannot read the seccomp profile {file}"))?;
                    let profile = serde_json::from_slice(&json);
                    let profile =
                        profile.map_err(|error| Failure::usage(format!("{file} is no seccomp profile: {error}")))?;
                    configuration.seccomp = Seccomp::Profile(profile);
                }
                ("no-new-privileges", "" | "true") => configuration.new_privileges = false,
                ("no-new-privileges", "false") => configuration.new_privileges = true,
                _ => {
                    let known = "seccomp=unconfined, seccomp=FILE and no-new-privileges";
                    return Err(Failure::usage(format!("--security-opt takes {known}, not {option:?}")));
                }
            }
        }
        Ok(())
    }
}

/// A size that was given, in bytes.
pub fn bytes(text: Option<&str>) -> Result<Option<u64>> {
    Ok(text.map(size::parse).transpose().map_err(Failure::usage)?.map(Bytes::get))
}

fn pair(option: &str, text: &str) -> Result<(String, String)> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| Failure::usage(format!("{option} takes NAME=VALUE, not {text:?}")))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn id_map(text: &str) -> Result<(u32, u32, u32), String> {
    let numbers: Vec<_> = text.split(':').map(str::parse::<u32>).collect();
    match numbers.as_slice() {
        [Ok(inside), Ok(outside), Ok(size)] if *size > 0 => Ok((*inside, *outside, *size)),
        _ => Err("three numbers are needed, such as 0:100000:65536".to_owned()),
    }
}

fn ulimit(text: &str) -> Result<(String, u64, u64)> {
    let wrong =
        || Failure::usage(format!("--ulimit takes NAME=SOFT[:HARD] with numbers, -1 for no limit, not {text:?}"));
    let (name, limits) = pair("--ulimit", text)?;
    let number = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        number => number.parse::<u64>().map_err(|_| wrong()),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((&limits, &limits));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(Failure::usage(format!("--ulimit {text}: the soft limit is above the hard one")));
    }
    Ok((name, soft, hard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        assert_eq!(ulimit("nofile=1024:2048").unwrap(), ("nofile".to_owned(), 1024, 2048));
        assert_eq!(ulimit("core=-1").unwrap(), ("core".to_owned(), u64::MAX, u64::MAX));
        for text in ["nofile", "nofile=x", "nofile=3:2"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mappings_are_three_numbers() {
        assert_eq!(id_map("0:100000:65536"), Ok((0, 100_000, 65536)));
        for text in ["", "0", "0:1", "0:1:0", "0:1:2:3", "a:1:2", "0:-1:2", "0:1:2 "] {
            assert!(id_map(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(bytes(Some("1k")).unwrap(), Some(1024));
        assert!(bytes(Some("much")).is_err());
    }
}
