//! `HostConfig`: what was asked for with options.

use std::collections::BTreeMap;

use harness_container::{
    Configuration, Device, Ipc, LogOptions, MountSource, Propagation, Record, Resources, RestartPolicy, Seccomp, Share,
    Throttle,
};
use serde_json::{Value, json};

use super::network;

pub fn host(record: &Record) -> Value {
    let configuration = &record.configuration;
    let mut host = json!({
        "AutoRemove": record.auto_remove, "NetworkMode": configuration.network.mode(),
        "Privileged": configuration.privileged, "ReadonlyRootfs": configuration.read_only, "Init": configuration.init,
        "CapAdd": configuration.cap_add, "CapDrop": configuration.cap_drop, "GroupAdd": configuration.group_add,
        // Docker's default, which is this program's.
        "ShmSize": configuration.shm_size.unwrap_or(64 << 20),
        "Sysctls": configuration.sysctls.iter().cloned().collect::<BTreeMap<_, _>>(),
        "Ulimits": configuration.ulimits.iter().map(ulimit).collect::<Vec<_>>(),
        "Dns": configuration.dns, "DnsSearch": configuration.dns_search, "DnsOptions": configuration.dns_options,
        "ExtraHosts": configuration.add_host, "PortBindings": network::bindings(configuration),
        "Binds": binds(configuration), "Tmpfs": tmpfs(configuration),
        "SecurityOpt": security(configuration), "RestartPolicy": restart(configuration.restart),
        "LogConfig": log(&configuration.log),
        "Runtime": configuration.oci_runtime.as_ref().map_or_else(|| "harness".to_owned(), |path| path.display().to_string()),
        "UsernsMode": "", "IpcMode": ipc(&configuration.ipc), "PidMode": share(&configuration.pid),
        "UTSMode": if configuration.host_uts { "host" } else { "" },
        "CgroupnsMode": configuration.own_cgroup_namespace.map_or("", |own| if own { "private" } else { "host" }),
        "CgroupParent": configuration.cgroup_parent, "Annotations": configuration.annotations,
        "Devices": configuration.devices.iter().map(device).collect::<Vec<_>>(),
        "DeviceCgroupRules": configuration.device_rules,
        "IDMappings": {"UidMap": configuration.uid_map, "GidMap": configuration.gid_map},
    });
    if let (Value::Object(host), Value::Object(limits)) = (&mut host, limits(configuration)) {
        host.extend(limits);
    }
    host
}

/// Docker has zero for no limit.
fn limits(configuration: &Configuration) -> Value {
    let limits = &configuration.resources;
    let unlimited = |amount: u64| i64::try_from(amount).ok().filter(|&amount| amount < i64::MAX).unwrap_or(-1);
    json!({
        "Memory": limits.memory.unwrap_or(0), "MemorySwap": limits.memory_swap.map_or(0, unlimited),
        "MemoryReservation": limits.memory_reservation.unwrap_or(0), "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable, "OomScoreAdj": limits.oom_score_adj.unwrap_or(0),
        "NanoCpus": limits.cpus.map_or(0, |cpus| (cpus * 1e9) as u64), "CpuShares": limits.cpu_shares.unwrap_or(0),
        "CpusetCpus": limits.cpuset_cpus.as_deref().unwrap_or_default(),
        "CpusetMems": limits.cpuset_mems.as_deref().unwrap_or_default(),
        "CpuQuota": limits.cpu_quota.unwrap_or(0), "CpuPeriod": limits.cpu_period.unwrap_or(0),
        "BlkioWeight": limits.blkio_weight.unwrap_or(0), "PidsLimit": limits.pids_limit,
        "BlkioDeviceReadBps": throttles(limits, true, false), "BlkioDeviceWriteBps": throttles(limits, false, false),
        "BlkioDeviceReadIOps": throttles(limits, true, true), "BlkioDeviceWriteIOps": throttles(limits, false, true),
    })
}

fn throttles(limits: &Resources, read: bool, operations: bool) -> Vec<Value> {
    let is_meant = |limit: &&Throttle| (limit.read, limit.operations) == (read, operations);
    let told = |limit: &Throttle| json!({"Path": limit.device, "Rate": limit.rate});
    limits.throttles.iter().filter(is_meant).map(told).collect()
}

fn share(share: &Share) -> String {
    match share {
        Share::None => String::new(),
        Share::Host => "host".to_owned(),
        Share::Container(id) => format!("container:{id}"),
    }
}

fn ipc(ipc: &Ipc) -> String {
    match ipc {
        Ipc::Private => "private".to_owned(),
        Ipc::Shareable => "shareable".to_owned(),
        Ipc::None => "none".to_owned(),
        Ipc::Host => "host".to_owned(),
        Ipc::Container(id) => format!("container:{id}"),
    }
}

fn device(device: &Device) -> Value {
    json!({
        "PathOnHost": device.source, "PathInContainer": device.target, "CgroupPermissions": device.access,
    })
}

fn ulimit((name, soft, hard): &(String, u64, u64)) -> Value {
    let amount = |amount: u64| i64::try_from(amount).unwrap_or(-1);
    json!({"Name": name, "Soft": amount(*soft), "Hard": amount(*hard)})
}

/// As `-v` would have them.
fn binds(configuration: &Configuration) -> Vec<String> {
    let mounts = configuration.mounts.iter().filter_map(|mount| {
        let (source, propagation) = match &mount.source {
            MountSource::Bind { path, propagation, .. } => (path.display().to_string(), *propagation),
            MountSource::Volume { name, anonymous: false, .. } => (name.clone(), Propagation::default()),
            MountSource::Volume { .. } | MountSource::Tmpfs { .. } => return None,
        };
        let propagation = (propagation != Propagation::default()).then(|| json!(propagation));
        let read_only = mount.read_only.then(|| json!("ro"));
        let options: Vec<_> = read_only.iter().chain(&propagation).filter_map(Value::as_str).collect();
        let options = if options.is_empty() { String::new() } else { format!(":{}", options.join(",")) };
        Some(format!("{source}:{}{options}", mount.target.display()))
    });
    mounts.collect()
}

fn tmpfs(configuration: &Configuration) -> BTreeMap<String, String> {
    let mounts = configuration.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Tmpfs { options } => Some((mount.target.display().to_string(), options.join(","))),
        MountSource::Bind { .. } | MountSource::Volume { .. } => None,
    });
    mounts.collect()
}

fn security(configuration: &Configuration) -> Vec<String> {
    let seccomp = match &configuration.seccomp {
        Seccomp::Default => None,
        Seccomp::Unconfined => Some("seccomp=unconfined".to_owned()),
        Seccomp::Profile(profile) => Some(format!("seccomp={profile}")),
    };
    let no_new = (!configuration.new_privileges).then(|| "no-new-privileges".to_owned());
    seccomp.into_iter().chain(no_new).collect()
}

fn restart(policy: RestartPolicy) -> Value {
    let text = policy.to_string();
    let (name, most) = text.split_once(':').unwrap_or((&text, "0"));
    json!({"Name": name, "MaximumRetryCount": most.parse().unwrap_or(0)})
}

fn log(log: &LogOptions) -> Value {
    let mut config = BTreeMap::new();
    config.extend(log.max_size.map(|size| ("max-size", size.to_string())));
    config.extend(log.max_files.map(|files| ("max-file", files.to_string())));
    json!({"Type": if log.off { "none" } else { "json-file" }, "Config": config})
}
