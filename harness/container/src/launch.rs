//! From a container's configuration to what the runtime starts.

use std::{
    fs,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use harness_runtime::{
    ExternalRuntime, Launch, Stdio,
    config::{self, Bind, Capabilities, ContainerConfig, HostDevice, Seccomp as RuntimeSeccomp, Tmpfs, spec},
};
use oci_spec::runtime::{Capability, Spec};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use crate::{
    Configuration, Containers, Device, Error, Mount, MountSource, Network, Record, Resources, Result, Seccomp,
    Throttle, Volumes, network, share, users,
};

/// What the runtime is to start on the tree at `rootfs`. Volumes are made and filled on the way.
pub(crate) fn launch(
    containers: &Containers,
    record: &Record,
    rootfs: &Path,
    volumes: &Volumes,
    stdio: Stdio,
    accounting: bool,
) -> Result<Launch> {
    let wanted = &record.configuration;
    // What asks for one, or for a view of it.
    let asked = wanted.own_cgroup_namespace.is_some() || wanted.cgroup_parent.is_some();
    let accounting = accounting || asked;
    let limits = Resources { oom_score_adj: None, ..wanted.resources.clone() } != Resources::default();
    let mut spec = specification(containers, record, rootfs, volumes, accounting || limits)?;
    let map_root = !wanted.uid_map.is_empty();
    if map_root {
        users::own_volumes(&mut spec, volumes.root());
    }
    Ok(Launch { stdio, init: wanted.init, accounting, map_root, ..Launch::new(record.id.as_str(), spec) })
}

fn specification(
    containers: &Containers,
    record: &Record,
    rootfs: &Path,
    volumes: &Volumes,
    has_cgroup: bool,
) -> Result<Spec> {
    let wanted = &record.configuration;
    let mut config = ContainerConfig::new(rootfs, wanted.words.clone());
    config.env.clone_from(&wanted.env);
    if !wanted.workdir.is_empty() {
        config.cwd = wanted.workdir.as_str().into();
    }
    config.user.clone_from(&wanted.user);
    config.group_add.clone_from(&wanted.group_add);
    config.uid_map.clone_from(&wanted.uid_map);
    config.gid_map.clone_from(&wanted.gid_map);
    config.hostname = Some(hostname(record));
    config.domainname.clone_from(&wanted.domainname);
    config.tty = wanted.tty;
    config.read_only = wanted.read_only;
    for mount in &wanted.mounts {
        add_mount(&mut config, mount, rootfs, volumes)?;
    }
    limits(&mut config, wanted);
    config.cap_add = capabilities(&wanted.cap_add)?;
    config.cap_drop = capabilities(&wanted.cap_drop)?;
    config.privileged = wanted.privileged;
    config.unmasked = wanted.unmasked;
    config.devices = wanted.devices.iter().map(device).collect();
    config.device_rules.clone_from(&wanted.device_rules);
    config.annotations = wanted.annotations.clone().into_iter().collect();
    config.seccomp = seccomp(&wanted.seccomp)?;
    config.no_new_privileges = !wanted.new_privileges;
    share::apply(&mut config, record, containers)?;
    if has_cgroup {
        config.cgroups = share::cgroups(wanted);
    }
    config.cgroups_path = wanted.cgroup_parent.as_ref().map(|parent| parent.join(&record.id));
    Ok(spec(&config)?)
}

fn device(device: &Device) -> HostDevice {
    let Device { source, target, access } = device.clone();
    HostDevice { source, target, access }
}

/// The name that the container's programs find.
pub(crate) fn hostname(record: &Record) -> String {
    let wanted = &record.configuration;
    let hosts = wanted.host_uts || wanted.network == Network::Host;
    let own = || match hosts {
        // As docker.
        true => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        false => record.short_id().to_owned(),
    };
    wanted.hostname.clone().unwrap_or_else(own)
}

/// A specification of these limits alone, for a container that runs
/// ([`Running::set_limits`](harness_runtime::Running::set_limits)).
///
/// # Errors
/// What is wrong with them.
pub fn limits_of(resources: &Resources) -> Result<Spec> {
    let mut config = ContainerConfig::new("/", ["true"]);
    set_limits(&mut config, resources);
    Ok(spec(&config)?)
}

fn limits(config: &mut ContainerConfig, wanted: &Configuration) {
    set_limits(config, &wanted.resources);
    config.ulimits.clone_from(&wanted.ulimits);
    config.sysctls.clone_from(&wanted.sysctls);
    if let Some(size) = wanted.shm_size {
        config.shm_size = size;
    }
}

fn set_limits(config: &mut ContainerConfig, limits: &Resources) {
    config.memory = limits.memory;
    config.memory_swap = limits.memory_swap;
    config.memory_reservation = limits.memory_reservation;
    config.memory_swappiness = limits.memory_swappiness;
    config.oom_kill_disable = limits.oom_kill_disable;
    config.cpus = limits.cpus;
    config.cpu_quota = limits.cpu_quota;
    config.cpu_period = limits.cpu_period;
    config.cpu_shares = limits.cpu_shares;
    config.cpuset_cpus.clone_from(&limits.cpuset_cpus);
    config.cpuset_mems.clone_from(&limits.cpuset_mems);
    config.blkio_weight = limits.blkio_weight;
    let throttle = |limit: &Throttle| {
        let Throttle { device, read, operations, rate } = limit.clone();
        config::Throttle { device, read, operations, rate }
    };
    config.throttles = limits.throttles.iter().map(throttle).collect();
    config.pids_limit = limits.pids_limit;
    config.oom_score_adj = limits.oom_score_adj;
}

fn add_mount(config: &mut ContainerConfig, mount: &Mount, rootfs: &Path, volumes: &Volumes) -> Result<()> {
    let bind = |source: PathBuf| Bind { read_only: mount.read_only, ..Bind::new(source, &mount.target) };
    match &mount.source {
        MountSource::Bind { path, create, propagation, recursive } => {
            if *create && !path.exists() {
                fs::create_dir_all(path).map_err(Error::io("create", path))?;
            }
            let propagation = propagation.name();
            config.binds.push(Bind { propagation, recursive: *recursive, ..bind(path.clone()) });
        }
        MountSource::Volume { name, anonymous, fill } => {
            volumes.create(name, std::collections::BTreeMap::new(), *anonymous)?;
            if *fill {
                fill_volume(volumes, name, rootfs, &mount.target)?;
            }
            config.binds.push(bind(volumes.data(name)));
        }
        MountSource::Tmpfs { options } => {
            let mut options = options.clone();
            if mount.read_only {
                options.push("ro".to_owned());
            }
            config.tmpfs.push(Tmpfs { target: mount.target.clone(), options });
        }
    }
    Ok(())
}

/// The image's own symbolic links are followed within its root (openat2(2), RESOLVE_IN_ROOT).
fn fill_volume(volumes: &Volumes, name: &str, rootfs: &Path, target: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, rootfs, flags, Mode::empty()).map_err(Error::io("open", rootfs))?;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(&root, target, flags, Mode::empty(), within) {
        Ok(dir) => volumes.fill(name, &Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string())),
        // The image has nothing there, or no directory.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(()),
        Err(error) => Err(Error::io("open", target)(error)),
    }
}

fn capabilities(names: &[String]) -> Result<Capabilities> {
    if names.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        return Ok(Capabilities::All);
    }
    let one = |name: &String| {
        let upper = name.to_uppercase();
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        serde_json::from_value::<Capability>(serde_json::Value::String(full))
            .map_err(|_| Error::invalid(format!("the capability {name}"), "there is none of this name"))
    };
    Ok(Capabilities::Only(names.iter().map(one).collect::<Result<_>>()?))
}

fn seccomp(wanted: &Seccomp) -> Result<RuntimeSeccomp> {
    Ok(match wanted {
        Seccomp::Default => RuntimeSeccomp::Default,
        Seccomp::Unconfined => RuntimeSeccomp::Unconfined,
        Seccomp::Profile(profile) => {
            let read = serde_json::from_value(profile.clone());
            RuntimeSeccomp::Profile(Box::new(
                read.map_err(|error| Error::invalid("the seccomp profile", error.to_string()))?,
            ))
        }
    })
}

/// Whether the names of capabilities, the seccomp profile and the like make sense; better said before a container is made.
///
/// # Errors
/// [`Error::Invalid`] for what does not.
pub(crate) fn check(configuration: &Configuration) -> Result<()> {
    users::check(configuration)?;
    share::check(configuration)?;
    capabilities(&configuration.cap_add)?;
    capabilities(&configuration.cap_drop)?;
    seccomp(&configuration.seccomp)?;
    network::check(configuration)?;
    if let Some(runtime) = &configuration.oci_runtime {
        ExternalRuntime::new(runtime)?;
    }
    for mount in &configuration.mounts {
        if !mount.target.is_absolute() {
            return Err(Error::invalid(
                format!("the mount on {}", mount.target.display()),
                "it has to be an absolute path",
            ));
        }
    }
    Ok(())
}
