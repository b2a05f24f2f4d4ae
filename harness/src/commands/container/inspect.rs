use clap::Args;
use harness_container::{Mount, MountSource, Network, Record, Seccomp};
use harness_image::{Image, Store, rfc3339};
use serde_json::{Value, json};

use super::format;
use crate::{
    cli::Common,
    commands::print,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Tell all that is known of containers and images, as JSON
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub common: Common,
    /// A template instead of all: '{{.State.Pid}}', '{{json .Config.Env}}'
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Look for one kind of thing only
    #[arg(long = "type", value_name = "KIND", value_parser = ["container", "image"])]
    kind: Option<String>,
    /// Containers or images, by name or id
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub fn run(args: &InspectArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let found = args.names.iter().map(|name| find(&site, args, name)).collect::<Result<Vec<_>>>()?;
    match &args.format {
        None => print(&format!("{}\n", serde_json::to_string_pretty(&found)?)),
        Some(template) => {
            let filled = found.iter().map(|one| format::template(template, one));
            print(&filled.map(|line| Ok(line? + "\n")).collect::<Result<String>>()?)
        }
    }
}

fn find(site: &Site, args: &InspectArgs, name: &str) -> Result<Value> {
    let asked = |kind: &str| args.kind.as_deref().is_none_or(|asked| asked == kind);
    if asked("container") {
        match site.containers.find(name) {
            Ok(record) => return container(site, &record),
            Err(harness_container::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if asked("image") {
        let store = Store::open(&site.place.images())?;
        match store.resolve(name) {
            Ok(found) => return image(&found),
            Err(harness_image::Error::NotFound { .. } | harness_image::Error::InvalidName { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let kind = args.kind.as_deref().unwrap_or("container or image");
    Err(Failure::failed(format!("no such {kind}: {name}")))
}

/// In docker's shape, as far as both have it.
fn container(site: &Site, record: &Record) -> Result<Value> {
    let (state, status) = site.containers.state(&record.id)?;
    let configuration = &record.configuration;
    let time = |time: Option<storage_driver::Timestamp>| time.map(rfc3339);
    let health = state.health.as_ref().map(|health| {
        let probe = |probe: &harness_container::Probe| {
            json!({"Start": rfc3339(probe.start), "End": rfc3339(probe.end), "ExitCode": probe.status, "Output": probe.output})
        };
        json!({
            "Status": health.status.name(), "FailingStreak": health.failing_streak,
            "Log": health.probes.iter().map(probe).collect::<Vec<_>>(),
        })
    });
    let dir = site.containers.dir(&record.id);
    let (entrypoint, command) = configuration.words.split_at(configuration.entrypoint.min(configuration.words.len()));
    Ok(json!({
        "Id": record.id,
        "Name": format!("/{}", record.name),
        "Created": rfc3339(record.created),
        "Path": configuration.words.first(),
        "Args": configuration.words.get(1..).unwrap_or_default(),
        "Image": record.image_id,
        "Driver": record.driver,
        "State": {
            "Status": status.name(), "Running": matches!(status.name(), "running" | "paused"),
            "Paused": status.name() == "paused", "Restarting": status.name() == "restarting", "Dead": status.name() == "dead",
            "OOMKilled": state.oom_killed, "Pid": state.pid.unwrap_or(0), "ExitCode": state.status.unwrap_or(0),
            "Error": state.error.unwrap_or_default(), "StartedAt": time(state.started), "FinishedAt": time(state.finished),
            "SupervisorPid": state.supervisor, "Health": health,
        },
        "RestartCount": state.restarts,
        "LogPath": dir.join("log"),
        "Config": {
            "Hostname": configuration.hostname.as_deref().unwrap_or(record.short_id()),
            "User": configuration.user, "Tty": configuration.tty, "OpenStdin": configuration.open_stdin,
            "Env": configuration.env, "Entrypoint": entrypoint, "Cmd": command, "Image": record.image,
            "WorkingDir": configuration.workdir, "Labels": configuration.labels, "Healthcheck": configuration.health,
            "StopSignal": configuration.stop_signal(), "StopTimeout": configuration.stop_timeout(),
        },
        "HostConfig": host(record),
        "Mounts": configuration.mounts.iter().map(|mount| mounted(site, mount)).collect::<Vec<_>>(),
        "NetworkSettings": state.network,
        "GraphDriver": {"Name": record.driver, "Data": {"Layer": record.layer, "Options": record.driver_options}},
    }))
}

fn host(record: &Record) -> Value {
    let configuration = &record.configuration;
    let resources = &configuration.resources;
    let network = match &configuration.network {
        Network::None => "none".to_owned(),
        Network::Host => "host".to_owned(),
        Network::Bridge => "bridge".to_owned(),
        Network::Container(id) => format!("container:{id}"),
    };
    let seccomp = match &configuration.seccomp {
        Seccomp::Default => json!("default"),
        Seccomp::Unconfined => json!("unconfined"),
        Seccomp::Profile(profile) => profile.clone(),
    };
    json!({
        "AutoRemove": record.auto_remove, "NetworkMode": network, "Privileged": configuration.privileged,
        "ReadonlyRootfs": configuration.read_only, "Init": configuration.init, "CapAdd": configuration.cap_add,
        "CapDrop": configuration.cap_drop, "GroupAdd": configuration.group_add, "ShmSize": configuration.shm_size,
        "Sysctls": configuration.sysctls, "Ulimits": configuration.ulimits,
        "Dns": configuration.dns, "DnsSearch": configuration.dns_search, "DnsOptions": configuration.dns_options,
        "ExtraHosts": configuration.add_host, "PortBindings": configuration.publish, "Seccomp": seccomp,
        "NoNewPrivileges": !configuration.new_privileges, "RestartPolicy": configuration.restart.to_string(),
        "Memory": resources.memory, "MemorySwap": resources.memory_swap, "MemoryReservation": resources.memory_reservation,
        "NanoCpus": resources.cpus.map(|cpus| (cpus * 1e9) as u64), "CpuShares": resources.cpu_shares,
        "CpusetCpus": resources.cpuset_cpus, "CpusetMems": resources.cpuset_mems, "PidsLimit": resources.pids_limit,
        "OomScoreAdj": resources.oom_score_adj, "OciRuntime": configuration.oci_runtime,
        "LogConfig": {
            "Type": if configuration.log.off { "none" } else { "json-file" },
            "MaxSize": configuration.log.max_size, "MaxFiles": configuration.log.max_files,
        },
    })
}

fn mounted(site: &Site, mount: &Mount) -> Value {
    let (kind, name, source) = match &mount.source {
        MountSource::Bind { path, .. } => ("bind", None, Some(path.clone())),
        MountSource::Volume { name, .. } => ("volume", Some(name), Some(site.volumes.data(name))),
        MountSource::Tmpfs { .. } => ("tmpfs", None, None),
    };
    json!({"Type": kind, "Name": name, "Source": source, "Destination": mount.target, "RW": !mount.read_only})
}

fn image(image: &Image) -> Result<Value> {
    let config = serde_json::to_value(image.config.config())?;
    let mut config = if config.is_null() { json!({}) } else { config };
    if let (Value::Object(config), Value::Object(more)) = (&mut config, serde_json::to_value(&image.docker)?) {
        config.extend(more);
    }
    let names = image.references.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(json!({
        "Id": image.id.to_string(),
        "RepoTags": names,
        "Digest": image.manifest_digest.to_string(),
        "Created": image.config.created(),
        "Author": image.config.author(),
        "Architecture": image.config.architecture(),
        "Os": image.config.os(),
        "Config": config,
        "Size": image.size().get(),
        "RootFS": {"Type": "layers", "Layers": image.config.rootfs().diff_ids()},
        "History": image.config.history(),
    }))
}
