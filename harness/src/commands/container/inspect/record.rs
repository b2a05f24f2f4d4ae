//! A container in docker's shape, and what else is known of it.

use harness_container::{Health, Mount, MountSource, Probe, Record, State, Status};
use harness_image::rfc3339;
use serde_json::{Map, Value, json};
use storage_driver::Timestamp;

use super::{graph, host::host, network};
use crate::{commands::container::size::Size, containers::Site, failure::Result};

/// How docker writes a time that has not come.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

pub fn container(site: &Site, record: &Record, size: Option<Size>) -> Result<Value> {
    let (state, status) = site.containers.state(&record.id)?;
    let configuration = &record.configuration;
    let mut told = json!({
        "Id": record.id,
        "Name": format!("/{}", record.name),
        "Created": rfc3339(record.created),
        "Path": configuration.words.first(),
        "Args": configuration.words.get(1..).unwrap_or_default(),
        "Image": record.image_id,
        "Driver": record.driver,
        "Platform": "linux",
        "State": self::state(&state, status),
        "RestartCount": state.restarts,
        "LogPath": site.containers.dir(&record.id).join("log"),
        "Config": config(record),
        "HostConfig": host(record),
        "Mounts": configuration.mounts.iter().map(|mount| mounted(site, mount)).collect::<Vec<_>>(),
        "NetworkSettings": network::settings(configuration, &state),
        "GraphDriver": graph::of_container(&site.place, record),
    });
    if let (Some(size), Value::Object(told)) = (size, &mut told) {
        told.insert("SizeRw".to_owned(), size.own.get().into());
        told.insert("SizeRootFs".to_owned(), size.whole.get().into());
    }
    Ok(told)
}

fn state(state: &State, status: Status) -> Value {
    let time = |time: Option<Timestamp>| time.map_or_else(|| NEVER.to_owned(), rfc3339);
    json!({
        "Status": status.name(), "Running": matches!(status, Status::Running | Status::Paused),
        "Paused": status == Status::Paused, "Restarting": status == Status::Restarting, "Dead": status == Status::Dead,
        "OOMKilled": state.oom_killed, "Pid": state.pid.unwrap_or(0), "ExitCode": state.status.unwrap_or(0),
        "Error": state.error.as_deref().unwrap_or_default(),
        "StartedAt": time(state.started), "FinishedAt": time(state.finished),
        "SupervisorPid": state.supervisor, "Health": state.health.as_ref().map(health),
    })
}

fn health(health: &Health) -> Value {
    let probe = |probe: &Probe| {
        json!({
            "Start": rfc3339(probe.start), "End": rfc3339(probe.end), "ExitCode": probe.status, "Output": probe.output,
        })
    };
    json!({
        "Status": health.status.name(), "FailingStreak": health.failing_streak,
        "Log": health.probes.iter().map(probe).collect::<Vec<_>>(),
    })
}

fn config(record: &Record) -> Value {
    let configuration = &record.configuration;
    let (entrypoint, command) = configuration.words.split_at(configuration.entrypoint.min(configuration.words.len()));
    let attached = configuration.in_front;
    let stdin = attached && configuration.open_stdin;
    let or_null = |words: &[String]| if words.is_empty() { Value::Null } else { json!(words) };
    json!({
        "Hostname": configuration.hostname.as_deref().unwrap_or(record.short_id()), "Domainname": configuration.domainname.as_deref().unwrap_or_default(),
        "User": configuration.user.as_deref().unwrap_or_default(),
        "AttachStdin": stdin, "AttachStdout": attached, "AttachStderr": attached, "StdinOnce": stdin,
        "Tty": configuration.tty, "OpenStdin": configuration.open_stdin,
        "Env": configuration.env, "Entrypoint": or_null(entrypoint), "Cmd": or_null(command), "Image": record.image,
        "ExposedPorts": network::exposed(configuration), "Volumes": volumes(record),
        "WorkingDir": configuration.workdir, "OnBuild": null, "Labels": configuration.labels,
        "Healthcheck": configuration.health, "StopSignal": harness_container::signal::name(configuration.stop_signal()),
        "StopTimeout": configuration.stop_timeout(),
    })
}

/// Those without a name, which docker lists here.
fn volumes(record: &Record) -> Value {
    let is_anonymous = |mount: &&Mount| matches!(mount.source, MountSource::Volume { anonymous: true, .. });
    let volumes: Map<_, _> = record
        .configuration
        .mounts
        .iter()
        .filter(is_anonymous)
        .map(|mount| (mount.target.display().to_string(), json!({})))
        .collect();
    if volumes.is_empty() { Value::Null } else { volumes.into() }
}

fn mounted(site: &Site, mount: &Mount) -> Value {
    let (kind, name, source) = match &mount.source {
        MountSource::Bind { path, .. } => ("bind", "", path.display().to_string()),
        MountSource::Volume { name, .. } => ("volume", name.as_str(), site.volumes.data(name).display().to_string()),
        MountSource::Tmpfs { .. } => ("tmpfs", "", String::new()),
    };
    json!({
        "Type": kind, "Name": name, "Source": source, "Destination": mount.target,
        "Driver": if kind == "volume" { "local" } else { "" },
        "Mode": if mount.read_only { "ro" } else { "" }, "RW": !mount.read_only,
        "Propagation": match mount.source {
            MountSource::Bind { propagation, .. } => json!(propagation),
            MountSource::Volume { .. } | MountSource::Tmpfs { .. } => json!(""),
        },
    })
}
