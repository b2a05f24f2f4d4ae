use clap::Args;
use harness_network::{PortMapping, Protocol, parse_publish};

use crate::{
    cli::Common,
    commands::print,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Show the ports of a container that are published
#[derive(Debug, Args)]
pub struct PortArgs {
    #[command(flatten)]
    pub common: Common,
    /// The container, by name or id
    container: String,
    /// Only where this port of the container's is published
    #[arg(value_name = "PORT[/udp]")]
    port: Option<String>,
}

pub fn run(args: &PortArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(&args.container)?;
    let network = site.containers.state(&record.id)?.0.network;
    let ports = network.map(|network| network.ports).unwrap_or_default();
    let Some(wanted) = &args.port else {
        let line = |port: &PortMapping| {
            format!("{}/{} -> {}:{}\n", port.container_port, port.protocol, port.host_ip, port.host_port)
        };
        return print(&ports.iter().map(line).collect::<String>());
    };
    let (number, protocol) = read(wanted)?;
    let published = ports.iter().filter(|port| (port.container_port, port.protocol) == (number, protocol));
    let text: String = published.map(|port| format!("{}:{}\n", port.host_ip, port.host_port)).collect();
    if text.is_empty() {
        return Err(Failure::failed(format!("container {} publishes no port {number}/{protocol}", args.container)));
    }
    print(&text)
}

fn read(text: &str) -> Result<(u16, Protocol)> {
    match parse_publish(text).as_deref() {
        Ok([one]) if !text.contains(':') => Ok((one.container_port, one.protocol)),
        _ => Err(Failure::usage(format!("{text:?} is no port; write 80 or 53/udp"))),
    }
}
