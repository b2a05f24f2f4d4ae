//! Namespaces that a container shares with the host or with another container.

use std::path::{Path, PathBuf};

use harness_runtime::config::{Cgroups, ContainerConfig, Namespace, Network as RuntimeNetwork, Shm};

use crate::{Configuration, Containers, Error, Ipc, Network, Record, Result, Share, shm};

/// Gives the container the namespaces that it wants.
pub(crate) fn apply(config: &mut ContainerConfig, record: &Record, containers: &Containers) -> Result<()> {
    let wanted = &record.configuration;
    let of = |other: &str, kind: &str| namespace_of(containers, record, other, kind);
    config.pid = match &wanted.pid {
        Share::None => Namespace::Own,
        Share::Host => Namespace::Host,
        Share::Container(other) => Namespace::Joined(of(other, "pid")?),
    };
    if wanted.host_uts {
        config.uts = Namespace::Host;
    }
    (config.ipc, config.shm) = match &wanted.ipc {
        Ipc::Private => (Namespace::Own, Shm::New),
        Ipc::Shareable => (Namespace::Own, Shm::Of(shm::place(&containers.dir(&record.id)))),
        Ipc::None => (Namespace::Own, Shm::Nothing),
        Ipc::Host => (Namespace::Host, Shm::Of("/dev/shm".into())),
        Ipc::Container(other) => {
            (Namespace::Joined(of(other, "ipc")?), Shm::Of(shared_memory_of(containers, record, other)?))
        }
    };
    config.network = match &wanted.network {
        Network::None => RuntimeNetwork::None,
        Network::Host => RuntimeNetwork::Host,
        Network::Container(other) => RuntimeNetwork::Joined(of(other, "net")?),
        Network::Bridge => {
            // As docker: a namespace of its own has no ports to guard.
            config.sysctls.push(("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()));
            RuntimeNetwork::Prepared
        }
    };
    Ok(())
}

/// What a container sees of the cgroup that it has: as docker, all of its own on version 2.
pub(crate) fn cgroups(wanted: &Configuration) -> Cgroups {
    let own = wanted.own_cgroup_namespace.unwrap_or_else(harness_runtime::has_unified_cgroups);
    if own { Cgroups::Own } else { Cgroups::Host }
}

/// Whether what is shared goes together.
pub(crate) fn check(wanted: &Configuration) -> Result<()> {
    if wanted.pid != Share::None && !wanted.uid_map.is_empty() {
        let why = "is not for containers with users of their own: these could not mount /proc (user_namespaces(7))";
        return Err(Error::invalid("--pid", why));
    }
    if wanted.hostname.is_some() && wanted.host_uts {
        return Err(Error::invalid("--hostname", "the container has the host's name with --uts host"));
    }
    if wanted.hostname.is_some() && matches!(wanted.network, Network::Container(_)) {
        return Err(Error::invalid("--hostname", "the container has the name of the one whose network it shares"));
    }
    Ok(())
}

fn namespace_of(containers: &Containers, record: &Record, other: &str, kind: &str) -> Result<PathBuf> {
    let (state, _) = containers.state(other)?;
    let pid = state.pid.ok_or_else(|| {
        let what = format!("shares the {kind} namespace of container {other}, which is not running; start that first");
        Error::refused(&record.name, what)
    })?;
    Ok(Path::new("/proc").join(pid.to_string()).join("ns").join(kind))
}

fn shared_memory_of(containers: &Containers, record: &Record, other: &str) -> Result<PathBuf> {
    match containers.find(other)?.configuration.ipc {
        Ipc::Shareable => Ok(shm::place(&containers.dir(other))),
        Ipc::Host => Ok("/dev/shm".into()),
        _ => {
            let what = format!("shares the memory of container {other}, which has to be made with --ipc shareable");
            Err(Error::refused(&record.name, what))
        }
    }
}
