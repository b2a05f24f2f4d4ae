//! The options about networks and names.

use clap::Args;
use harness_container::{Configuration, Network};
use harness_image::Image;
use storage_sys::userns;

use crate::{
    containers::Site,
    failure::{Failure, Result},
};

/// What a container sees of networks.
#[derive(Debug, Clone, Args)]
pub struct NetworkOptions {
    /// The network: none, host, bridge, or container:NAME [default: bridge as root, else none]
    #[arg(long, visible_alias = "net", value_name = "NAME")]
    network: Option<String>,
    /// Publish a container's port on the host
    #[arg(long, short, value_name = "[[IP:]HOST:]PORT[/udp]")]
    publish: Vec<String>,
    /// Publish the ports that the image exposes, on ports that are free
    #[arg(long, short = 'P')]
    publish_all: bool,
    /// Address of Ethernet on the bridge, such as 92:d0:c6:0a:29:33
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
    /// A name server, instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// A domain in which names are looked for, instead of the host's; `.` for none
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// An option of the resolver, such as ndots:2, instead of the host's
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// A line of /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// Host name [default: the beginning of the container's id]
    #[arg(long, short = 'h', value_name = "NAME")]
    hostname: Option<String>,
    /// NIS domain name
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// A port on which the container listens, or a range; --publish-all publishes it
    #[arg(long, value_name = "PORT[-PORT][/udp]")]
    expose: Vec<String>,
}

impl NetworkOptions {
    /// What it says in the container's `configuration`.
    pub fn apply(&self, configuration: &mut Configuration, image: &Image, site: &Site) -> Result {
        configuration.network = self.network(site)?;
        configuration.expose = self.exposed(image)?;
        configuration.publish.clone_from(&self.publish);
        if self.publish_all {
            configuration.publish.extend(configuration.expose.iter().cloned());
        }
        configuration.mac_address.clone_from(&self.mac_address);
        if self.mac_address.is_some() && configuration.network != Network::Bridge {
            return Err(Failure::usage("--mac-address needs --network bridge"));
        }
        configuration.dns.clone_from(&self.dns);
        configuration.dns_search.clone_from(&self.dns_search);
        configuration.dns_options.clone_from(&self.dns_option);
        configuration.add_host.clone_from(&self.add_host);
        configuration.hostname.clone_from(&self.hostname);
        configuration.domainname.clone_from(&self.domainname);
        Ok(())
    }

    /// The image's ports and those that were told, as in `80/tcp`.
    fn exposed(&self, image: &Image) -> Result<Vec<String>> {
        let of_image = image.config.config().as_ref().and_then(|config| config.exposed_ports().clone());
        let mut ports = of_image.unwrap_or_default();
        for text in &self.expose {
            for port in ports_of(text)? {
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
        }
        Ok(ports)
    }

    fn network(&self, site: &Site) -> Result<Network> {
        let publishes = self.publish_all || !self.publish.is_empty();
        // As docker; who is not root has no rights on the host's network.
        let is_root = rustix::process::geteuid().is_root() && !userns::is_active();
        let network = match self.network.as_deref() {
            None if publishes || is_root => Network::Bridge,
            None | Some("none") => Network::None,
            Some("host") => Network::Host,
            Some("bridge" | "default") => Network::Bridge,
            Some(other) => match other.strip_prefix("container:") {
                Some(name) => Network::Container(site.find(name)?.id),
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
}

/// One port, or a range of them, each with its protocol.
fn ports_of(text: &str) -> Result<Vec<String>> {
    let wrong = || Failure::usage(format!("--expose takes PORT[-PORT][/tcp|udp|sctp], not {text:?}"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| text.parse::<u16>().ok().filter(|&port| port > 0).ok_or_else(wrong);
    let (first, last) = (number(first)?, number(last)?);
    if first > last || !["tcp", "udp", "sctp"].contains(&protocol) {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_exposed_one_by_one_or_in_ranges() {
        assert_eq!(ports_of("80").unwrap(), ["80/tcp"]);
        assert_eq!(ports_of("7-9/udp").unwrap(), ["7/udp", "8/udp", "9/udp"]);
        for text in ["", "0", "9-7", "x", "80/icmp", "70000", "1-"] {
            assert!(ports_of(text).is_err(), "{text}");
        }
    }
}
