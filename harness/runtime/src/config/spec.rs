use std::collections::HashMap;

use oci_spec::{
    OciSpecError,
    runtime::{
        Capabilities as CapabilitySet, Capability, Linux, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxIdMapping,
        LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxSeccomp, PosixRlimit,
        PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
    },
};

use super::{
    Capabilities, Cgroups, ContainerConfig, DEFAULT_PATH, Namespace, Network, Seccomp, devices, mounts, resources,
    user::{self, ResolvedUser},
};
use crate::{Error, Result, caps, seccomp::default_profile};

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
        .mounts(mounts::mounts(config)?)
        .linux(linux(config, &capabilities)?);
    let mut spec = builder.build().map_err(invalid)?;
    // The builder fills in values of its own.
    spec.set_hostname(config.hostname.clone().filter(|_| config.uts == Namespace::Own));
    spec.set_domainname(config.domainname.clone());
    let annotations: HashMap<_, _> = config.annotations.iter().cloned().collect();
    spec.set_annotations(Some(annotations).filter(|annotations| !annotations.is_empty()));
    Ok(spec)
}

pub(super) fn invalid(error: OciSpecError) -> Error {
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

fn linux(config: &ContainerConfig, capabilities: &CapabilitySet) -> Result<Linux> {
    let sysctls: HashMap<String, String> = config.sysctls.iter().cloned().collect();
    let (masked, read_only) =
        if config.privileged || config.unmasked { (&[][..], &[][..]) } else { (&MASKED[..], &READ_ONLY[..]) };
    let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
    let mut builder = LinuxBuilder::default()
        .namespaces(namespaces(config)?)
        .masked_paths(owned(masked))
        .readonly_paths(owned(read_only))
        .sysctl(sysctls);
    if !config.uid_map.is_empty() {
        builder = builder.uid_mappings(id_mappings(&config.uid_map)?).gid_mappings(id_mappings(&config.gid_map)?);
    }
    let devices = devices::of(config)?;
    if !devices.is_empty() {
        builder = builder.devices(devices.clone());
    }
    if let Some(path) = &config.cgroups_path {
        builder = builder.cgroups_path(path);
    }
    if let Some(profile) = profile(config, capabilities)? {
        builder = builder.seccomp(profile);
    }
    builder.resources(resources::resources(config, &devices)?).build().map_err(invalid)
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
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network as Net, Pid, User, Uts};
    let of_network = match &config.network {
        Network::None | Network::Prepared => Namespace::Own,
        Network::Joined(path) => Namespace::Joined(path.clone()),
        Network::Host => Namespace::Host,
    };
    let own = |own: bool| if own { Namespace::Own } else { Namespace::Host };
    let (of_users, of_cgroups) = (own(!config.uid_map.is_empty()), own(config.cgroups == Cgroups::Own));
    let wanted = [
        (Mount, &Namespace::Own),
        (Pid, &config.pid),
        (Uts, &config.uts),
        (Ipc, &config.ipc),
        (User, &of_users),
        (Net, &of_network),
        (Cgroup, &of_cgroups),
    ];
    let namespace = |(kind, whose): (LinuxNamespaceType, &Namespace)| {
        let builder = LinuxNamespaceBuilder::default().typ(kind);
        let builder = match whose {
            Namespace::Host => return None,
            Namespace::Own => builder,
            Namespace::Joined(path) => builder.path(path),
        };
        Some(builder.build().map_err(invalid))
    };
    wanted.into_iter().filter_map(namespace).collect()
}
