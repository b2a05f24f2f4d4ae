//! A container as `ps` shows it.

use harness_container::{HealthStatus, MountSource, Record, Status};
use harness_image::rfc3339;
use harness_network::PortMapping;
use serde_json::json;
use storage_driver::Timestamp;

use super::{PsArgs, Shown};
use crate::{
    commands::{container::size::Size, format},
    table,
    template::Value,
};

/// Docker's fields, and what else is known.
pub fn fields(args: &PsArgs, one: &Shown, size: Option<Size>, now: u64) -> Value {
    let Shown { record, state, status } = one;
    let configuration = &record.configuration;
    let local = configuration.mounts.iter().filter(|mount| matches!(mount.source, MountSource::Volume { .. }));
    let row = json!({
        "ID": id(args, record), "Image": record.image, "Command": command(args, record), "Names": record.name,
        "CreatedAt": table::moment(&rfc3339(record.created)), "RunningFor": table::ago(now, record.created.0),
        "State": status.name(), "Status": told(one, now), "Ports": ports(one),
        "Size": size.map_or_else(String::new, |size| size.to_string()),
        "Labels": format::labels(&configuration.labels), "Mounts": mounts(args, record),
        "LocalVolumes": local.count().to_string(), "Networks": configuration.network.mode(), "Platform": "",
        "Driver": record.driver, "ExitCode": state.status, "CreatedNs": record.created.0,
        "StartedNs": state.started.map(|at| at.0), "FinishedNs": state.finished.map(|at| at.0), "Pid": state.pid,
        "Health": state.health.as_ref().map(|health| health.status.name()),
    });
    format::with_labels(&row, &configuration.labels)
}

/// Docker's form: `0.0.0.0:8080->80/tcp`, and alone what is exposed only.
fn ports(one: &Shown) -> String {
    let published = one.state.network.as_ref().map(|network| network.ports.as_slice()).unwrap_or_default();
    let port =
        |port: &PortMapping| format!("{}:{}->{}/{}", port.host_ip, port.host_port, port.container_port, port.protocol);
    let is_published = |exposed: &&String| {
        published.iter().any(|port| format!("{}/{}", port.container_port, port.protocol) == **exposed)
    };
    // Docker shows them of containers that run.
    let exposed = one.record.configuration.expose.iter().filter(|_| one.status.is_alive());
    let exposed = exposed.filter(|exposed| !is_published(exposed)).cloned();
    published.iter().map(port).chain(exposed).collect::<Vec<_>>().join(", ")
}

fn mounts(args: &PsArgs, record: &Record) -> String {
    let name = |source: &MountSource| match source {
        MountSource::Bind { path, .. } => Some(path.display().to_string()),
        MountSource::Volume { name, .. } => Some(name.clone()),
        MountSource::Tmpfs { .. } => None,
    };
    let names = record.configuration.mounts.iter().filter_map(|mount| name(&mount.source));
    names.map(|name| shortened(args, &name, 15)).collect::<Vec<_>>().join(",")
}

/// In quotes, arguments with spaces in single ones, as docker has it.
pub fn command(args: &PsArgs, record: &Record) -> String {
    let word = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    let words = record.configuration.words.iter().map(word).collect::<Vec<_>>().join(" ");
    format!("{:?}", shortened(args, &words, 20))
}

/// As docker says it: `Up 2 minutes (healthy)`, `Exited (0) 3 hours ago`.
fn told(Shown { record, state, status }: &Shown, now: u64) -> String {
    let since = |then: Option<Timestamp>| table::ago(now, then.unwrap_or(record.created).0);
    let up = || format!("Up {}", since(state.started).trim_end_matches(" ago"));
    match status {
        Status::Created => "Created".to_owned(),
        Status::Running => match state.health.as_ref().map(|health| health.status) {
            Some(HealthStatus::Starting) => format!("{} (health: starting)", up()),
            Some(health) => format!("{} ({})", up(), health.name()),
            None => up(),
        },
        Status::Paused => format!("{} (Paused)", up()),
        Status::Restarting => {
            format!("Restarting ({}) {}", state.status.unwrap_or_default(), since(state.finished))
        }
        Status::Exited(status) => format!("Exited ({status}) {}", since(state.finished)),
        Status::Dead => "Dead".to_owned(),
    }
}

pub fn id(args: &PsArgs, record: &Record) -> String {
    if args.no_trunc { record.id.clone() } else { record.short_id().to_owned() }
}

fn shortened(args: &PsArgs, text: &str, length: usize) -> String {
    if args.no_trunc { text.to_owned() } else { table::shortened(text, length) }
}
