use std::{collections::HashMap, path::Path};

use oci_spec::{
    OciSpecError,
    runtime::{
        Capabilities as CapabilitySet, Capability, Linux, LinuxBlockIoBuilder, LinuxBuilder, LinuxCapabilitiesBuilder,
        LinuxCpu, LinuxCpuBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxIdMapping,
        LinuxIdMappingBuilder, LinuxMemory, LinuxMemoryBuilder, LinuxNamespace, LinuxNamespaceBuilder,
        LinuxNamespaceType, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder, LinuxSeccomp, Mount, MountBuilder,
        PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
        UserBuilder,
    },
};

use super::{
    Capabilities, ContainerConfig, DEFAULT_PATH, Network, Seccomp, host_devices,
    user::{self, ResolvedUser},
};
use crate::{Error, Result, caps, seccomp::default_profile};

/// Microseconds of a period of cpu bandwidth control, docker's choice.
const CPU_PERIOD: u64 = 100_000;

/// Docker's minimum of memory: with less the kernel kills what is to start the container, and says nothing.
const LEAST_MEMORY: u64 = 6 << 20;

/// Devices that every container may open: null, zero, full, random, urandom, tty, console, ptmx and the terminals.
const OPEN_DEVICES: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// What docker hides of /proc and /sys.
const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

/// What docker makes read-only of /proc.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The specification for `config`, which runs under other OCI runtimes too.
///
/// # Errors
/// [`Error::NoSuchUser`] and [`Error::Invalid`] for values that make no sense, and files of the image or the host that
/// cannot be read.
pub fn spec(config: &ContainerConfig) -> Result<Spec> {
    let capabilities = capabilities(config);
    let user = user::resolve_user(&config.rootfs, config.user.as_deref().unwrap_or_default(), &config.group_add)?;
    let root = RootBuilder::default().path(&config.rootfs).readonly(config.read_only).build().map_err(invalid)?;
    let builder = SpecBuilder::default()
        .version("1.0.2")
        .root(root)
        .process(process(config, &user, &capabilities)?)
        .mounts(mounts(config)?)
        .linux(linux(config, &capabilities)?);
    let mut spec = builder.build().map_err(invalid)?;
    // The builder fills in values of its own.
    spec.set_hostname(config.hostname.clone());
    spec.set_annotations(None);
    Ok(spec)
}

fn invalid(error: OciSpecError) -> Error {
    Error::invalid("the specification", error.to_string())
}

fn capabilities(config: &ContainerConfig) -> CapabilitySet {
    if config.privileged {
        return caps::all().collect();
    }
    let mut set: CapabilitySet = match &config.cap_drop {
        Capabilities::All => CapabilitySet::new(),
        Capabilities::Only(dropped) => caps::DEFAULT.into_iter().filter(|c| !dropped.contains(c)).collect(),
    };
    match &config.cap_add {
        Capabilities::All => {
            let kept = |c: &Capability| !matches!(&config.cap_drop, Capabilities::Only(dropped) if dropped.contains(c));
            set.extend(caps::all().filter(kept));
        }
        Capabilities::Only(added) => set.extend(added),
    }
    set
}

fn process(config: &ContainerConfig, user: &ResolvedUser, capabilities: &CapabilitySet) -> Result<Process> {
    // As docker: permitted and effective serve root; none are inheritable or ambient, so another user starts without.
    let sets = LinuxCapabilitiesBuilder::default()
        .bounding(capabilities.clone())
        .effective(capabilities.clone())
        .permitted(capabilities.clone())
        .inheritable(CapabilitySet::new())
        .ambient(CapabilitySet::new())
        .build()
        .map_err(invalid)?;
    let ids = UserBuilder::default().uid(user.uid).gid(user.gid).additional_gids(user.groups.clone());
    let mut builder = ProcessBuilder::default()
        .terminal(config.tty)
        .user(ids.build().map_err(invalid)?)
        .args(config.args.clone())
        .env(env(config, user))
        .cwd(&config.cwd)
        .capabilities(sets)
        .rlimits(rlimits(config)?)
        .no_new_privileges(config.no_new_privileges && !config.privileged);
    if let Some(adjustment) = config.oom_score_adj {
        builder = builder.oom_score_adj(adjustment);
    }
    builder.build().map_err(invalid)
}

/// The configured environment after docker's defaults for what it does not set; of a name set twice the last counts.
fn env(config: &ContainerConfig, user: &ResolvedUser) -> Vec<String> {
    let mut env = vec![format!("PATH={DEFAULT_PATH}")];
    env.extend(config.hostname.as_ref().map(|hostname| format!("HOSTNAME={hostname}")));
    env.extend(config.tty.then(|| "TERM=xterm".to_owned()));
    env.push(format!("HOME={}", user.home.display()));
    for variable in &config.env {
        let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
        match env.iter_mut().find(|known| name(known) == name(variable)) {
            Some(known) => known.clone_from(variable),
            None => env.push(variable.clone()),
        }
    }
    env
}

fn rlimits(config: &ContainerConfig) -> Result<Vec<PosixRlimit>> {
    let limit = |(name, soft, hard): &(String, u64, u64)| {
        let typ = format!("RLIMIT_{}", name.to_uppercase())
            .parse::<PosixRlimitType>()
            .map_err(|_| Error::invalid(format!("ulimit {name}"), "there is no such limit"))?;
        PosixRlimitBuilder::default().typ(typ).soft(*soft).hard(*hard).build().map_err(invalid)
    };
    config.ulimits.iter().map(limit).collect()
}

fn mounts(config: &ContainerConfig) -> Result<Vec<Mount>> {
    let sys = if config.privileged { "rw" } else { "ro" };
    let shm = format!("size={}", config.shm_size);
    let mut terminals = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    // The group tty, by whose members terminals can be written to. A user namespace without it goes without.
    if user::is_group_mapped(5) {
        terminals.push("gid=5");
    }
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        mount("/dev/pts", "devpts", "devpts", &terminals)?,
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", sys])?,
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?,
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm])?,
    ];
    for tmpfs in &config.tmpfs {
        let mut options = vec!["noexec", "nosuid", "nodev"];
        options.extend(tmpfs.options.iter().map(String::as_str));
        mounts.push(mount(&tmpfs.target, "tmpfs", "tmpfs", &options)?);
    }
    for bind in &config.binds {
        let access = if bind.read_only { "rro" } else { "rw" };
        mounts.push(mount(&bind.target, "bind", &bind.source, &["rbind", "rprivate", access])?);
    }
    Ok(mounts)
}

fn mount(target: impl AsRef<Path>, kind: &str, source: impl AsRef<Path>, options: &[&str]) -> Result<Mount> {
    MountBuilder::default()
        .destination(target.as_ref())
        .typ(kind)
        .source(source.as_ref())
        .options(options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
        .build()
        .map_err(invalid)
}

fn linux(config: &ContainerConfig, capabilities: &CapabilitySet) -> Result<Linux> {
    let sysctls: HashMap<String, String> = config.sysctls.iter().cloned().collect();
    let (masked, read_only) = if config.privileged { (&[][..], &[][..]) } else { (&MASKED[..], &READ_ONLY[..]) };
    let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
    let mut builder = LinuxBuilder::default()
        .namespaces(namespaces(config)?)
        .masked_paths(owned(masked))
        .readonly_paths(owned(read_only))
        .sysctl(sysctls);
    if !config.uid_map.is_empty() {
        builder = builder.uid_mappings(id_mappings(&config.uid_map)?).gid_mappings(id_mappings(&config.gid_map)?);
    }
    if config.privileged {
        builder = builder.devices(host_devices::all()?);
    }
    if let Some(profile) = profile(config, capabilities)? {
        builder = builder.seccomp(profile);
    }
    builder.resources(resources(config)?).build().map_err(invalid)
}

fn profile(config: &ContainerConfig, capabilities: &CapabilitySet) -> Result<Option<LinuxSeccomp>> {
    match &config.seccomp {
        _ if config.privileged => Ok(None),
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default => default_profile(capabilities).map(Some),
        Seccomp::Profile(profile) => Ok(Some((**profile).clone())),
    }
}

fn id_mappings(ranges: &[(u32, u32, u32)]) -> Result<Vec<LinuxIdMapping>> {
    let mapping = |&(inside, outside, size): &(u32, u32, u32)| {
        let builder = LinuxIdMappingBuilder::default().container_id(inside).host_id(outside).size(size);
        builder.build().map_err(invalid)
    };
    ranges.iter().map(mapping).collect()
}

fn namespaces(config: &ContainerConfig) -> Result<Vec<LinuxNamespace>> {
    let kinds = [LinuxNamespaceType::Mount, LinuxNamespaceType::Pid, LinuxNamespaceType::Uts, LinuxNamespaceType::Ipc];
    let mut namespaces: Vec<_> = kinds.map(|kind| LinuxNamespaceBuilder::default().typ(kind)).into();
    let own = LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network);
    if !config.uid_map.is_empty() {
        namespaces.push(LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::User));
    }
    match &config.network {
        Network::None | Network::Prepared => namespaces.push(own),
        Network::Joined(path) => namespaces.push(own.path(path)),
        Network::Host => {}
    }
    namespaces.into_iter().map(|namespace| namespace.build().map_err(invalid)).collect()
}

fn resources(config: &ContainerConfig) -> Result<LinuxResources> {
    let mut builder = LinuxResourcesBuilder::default().devices(device_rules(config)?);
    if let Some(memory) = memory(config)? {
        builder = builder.memory(memory);
    }
    if let Some(cpu) = cpu(config)? {
        builder = builder.cpu(cpu);
    }
    if let Some(weight) = config.blkio_weight {
        if !(10..=1000).contains(&weight) {
            return Err(Error::invalid(format!("blkio-weight {weight}"), "it has to be 10 to 1000"));
        }
        builder = builder.block_io(LinuxBlockIoBuilder::default().weight(weight).build().map_err(invalid)?);
    }
    if let Some(pids) = config.pids_limit {
        let limits = LinuxPidsBuilder::default().limit(signed("pids-limit", pids)?);
        builder = builder.pids(limits.build().map_err(invalid)?);
    }
    builder.build().map_err(invalid)
}

fn signed(what: &str, n: u64) -> Result<i64> {
    i64::try_from(n).map_err(|_| Error::invalid(format!("{what} {n}"), "too large"))
}

fn memory(config: &ContainerConfig) -> Result<Option<LinuxMemory>> {
    let mut limits = LinuxMemoryBuilder::default();
    if let Some(memory) = config.memory {
        if memory < LEAST_MEMORY {
            let why = "that is too little; the minimum is 6 MiB, as docker's";
            return Err(Error::invalid(format!("memory {memory}"), why));
        }
        let swap = config.memory_swap.unwrap_or(memory.saturating_mul(2));
        limits = limits.limit(signed("memory", memory)?).swap(signed("memory-swap", swap)?);
    }
    if let Some(reservation) = config.memory_reservation {
        limits = limits.reservation(signed("memory-reservation", reservation)?);
    }
    if let Some(swappiness) = config.memory_swappiness {
        if swappiness > 100 {
            return Err(Error::invalid(format!("memory-swappiness {swappiness}"), "it has to be 0 to 100"));
        }
        limits = limits.swappiness(swappiness);
    }
    if config.oom_kill_disable {
        limits = limits.disable_oom_killer(true);
    }
    let limits = limits.build().map_err(invalid)?;
    Ok((limits != LinuxMemory::default()).then_some(limits))
}

fn cpu(config: &ContainerConfig) -> Result<Option<LinuxCpu>> {
    let mut limits = LinuxCpuBuilder::default();
    if let Some(cpus) = config.cpus {
        if !(0.01..=1e6).contains(&cpus) {
            return Err(Error::invalid(format!("cpus {cpus}"), "it has to be 0.01 at least"));
        }
        limits = limits.quota((cpus * CPU_PERIOD as f64).round() as i64).period(CPU_PERIOD);
    }
    if let Some(shares) = config.cpu_shares {
        limits = limits.shares(shares);
    }
    if let Some(cpus) = &config.cpuset_cpus {
        limits = limits.cpus(cpus);
    }
    if let Some(mems) = &config.cpuset_mems {
        limits = limits.mems(mems);
    }
    let limits = limits.build().map_err(invalid)?;
    Ok((limits != LinuxCpu::default()).then_some(limits))
}

/// What docker's device cgroup lets a container do: make any node, open the harmless ones. Privileged ones open all.
fn device_rules(config: &ContainerConfig) -> Result<Vec<LinuxDeviceCgroup>> {
    use LinuxDeviceType::{A, B, C};
    let rule = |allow: bool, kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str| {
        let mut rule =
            LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access).build().map_err(invalid)?;
        rule.set_major(major).set_minor(minor);
        Ok(rule)
    };
    if config.privileged {
        return Ok(vec![rule(true, A, None, None, "rwm")?]);
    }
    let mut rules =
        vec![rule(false, A, None, None, "rwm")?, rule(true, C, None, None, "m")?, rule(true, B, None, None, "m")?];
    for (major, minor) in OPEN_DEVICES {
        rules.push(rule(true, C, Some(major), minor, "rwm")?);
    }
    Ok(rules)
}
