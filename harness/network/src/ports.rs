//! Published ports, as people write them.

use std::{fmt, net::Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What docker and this crate call the option.
const OPTION: &str = "--publish";

/// A protocol with ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// The ports of the host that one of the container may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPorts {
    /// Any that is free.
    Any,
    /// The first that is free from the first to the last of these.
    Range(u16, u16),
}

/// A container's port that the host shall pass on to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Of the host; 0.0.0.0 means all.
    pub host_ip: Ipv4Addr,
    /// On the host.
    pub host_ports: HostPorts,
    /// In the container.
    pub container_port: u16,
    /// Of both.
    pub protocol: Protocol,
}

impl PublishedPort {
    /// A port as `EXPOSE` names it, on any free port of all addresses of the host.
    #[must_use]
    pub fn exposed(container_port: u16, protocol: Protocol) -> Self {
        Self { host_ip: Ipv4Addr::UNSPECIFIED, host_ports: HostPorts::Any, container_port, protocol }
    }

    /// Whether this one could come to be in the way of `mapping`.
    pub(crate) fn could_be(&self, mapping: &PortMapping) -> bool {
        let HostPorts::Range(from, to) = self.host_ports else { return false };
        let Self { host_ip, container_port, protocol, .. } = *self;
        let own = PortMapping { host_ip, host_port: mapping.host_port, container_port, protocol };
        (from..=to).contains(&mapping.host_port) && own.collides(mapping)
    }
}

/// A port that is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortMapping {
    /// Of the host; 0.0.0.0 means all.
    pub host_ip: Ipv4Addr,
    /// On the host.
    pub host_port: u16,
    /// In the container.
    pub container_port: u16,
    /// Of both.
    pub protocol: Protocol,
}

impl PortMapping {
    /// Whether a packet could be for both.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        let shares_an_address =
            self.host_ip == other.host_ip || self.host_ip.is_unspecified() || other.host_ip.is_unspecified();
        (self.host_port, self.protocol) == (other.host_port, other.protocol) && shares_an_address
    }
}

impl fmt::Display for PortMapping {
    /// The host's side.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host_ip, self.host_port, self.protocol)
    }
}

/// Reads `[ip:][hostPort]:containerPort[/protocol]` or `containerPort[/protocol]`, where ports may be ranges `from-to`.
///
/// A range of the container's ports needs as many of the host's, or none; one port of the container's gets the first of
/// the host's range that is free.
///
/// # Errors
/// [`Error::Invalid`], also for IPv6 addresses and for sctp, which are not published.
pub fn parse_publish(text: &str) -> Result<Vec<PublishedPort>> {
    let wrong = |why: &str| Error::invalid(OPTION, text, why);
    if text.contains('[') {
        return Err(wrong("only IPv4 addresses of the host can be published on"));
    }
    let (ports, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((ports, protocol)) => match protocol.to_ascii_lowercase().as_str() {
            "tcp" => (ports, Protocol::Tcp),
            "udp" => (ports, Protocol::Udp),
            _ => return Err(wrong("the protocol has to be tcp or udp")),
        },
    };
    let parts: Vec<&str> = ports.split(':').collect();
    let (ip, host, container) = match *parts.as_slice() {
        [container] => ("", "", container),
        [host, container] => ("", host, container),
        [ip, host, container] => (ip, host, container),
        _ => return Err(wrong("it has to be [ip:][hostPort]:containerPort[/tcp|udp]")),
    };
    let host_ip = match ip {
        "" => Ipv4Addr::UNSPECIFIED,
        "localhost" => Ipv4Addr::LOCALHOST,
        ip => ip.parse().map_err(|_| wrong("the part before the ports is no IPv4 address of the host"))?,
    };
    let (first, last) = range(container).map_err(|why| wrong(&why))?;
    let host = if matches!(host, "" | "0") { None } else { Some(range(host).map_err(|why| wrong(&why))?) };
    let published = |container_port: u16| {
        let host_ports = match host {
            None => HostPorts::Any,
            Some((from, to)) if first == last => HostPorts::Range(from, to),
            Some((from, _)) => HostPorts::Range(from + (container_port - first), from + (container_port - first)),
        };
        PublishedPort { host_ip, host_ports, container_port, protocol }
    };
    match host {
        Some((from, to)) if first != last && to - from != last - first => {
            Err(wrong("both ranges of ports have to be equally long"))
        }
        _ => Ok((first..=last).map(published).collect()),
    }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let port = |port: &str| match port.parse::<u16>() {
        // A sign would be read as part of the number.
        Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(format!("{port:?} is no port, which are 1 to 65535")),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(format!("the range {text} runs backwards"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let parsed = match parse_publish(text) {
            Ok(parsed) => parsed,
            Err(error) => return error.to_string(),
        };
        let one = |port: PublishedPort| {
            let host = match port.host_ports {
                HostPorts::Any => "any".to_owned(),
                HostPorts::Range(from, to) if from == to => from.to_string(),
                HostPorts::Range(from, to) => format!("{from}-{to}"),
            };
            format!("{} {host} {} {}", port.host_ip, port.container_port, port.protocol)
        };
        parsed.into_iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn ports_are_read_as_docker_reads_them() {
        for (text, expected) in [
            ("80", "0.0.0.0 any 80 tcp"),
            (":80", "0.0.0.0 any 80 tcp"),
            ("0:80", "0.0.0.0 any 80 tcp"),
            ("8080:80", "0.0.0.0 8080 80 tcp"),
            ("8080:80/UDP", "0.0.0.0 8080 80 udp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080 80 tcp"),
            ("127.0.0.1::80", "127.0.0.1 any 80 tcp"),
            ("localhost:1:2/udp", "127.0.0.1 1 2 udp"),
            ("8000-8002:80-82", "0.0.0.0 8000 80 tcp, 0.0.0.0 8001 81 tcp, 0.0.0.0 8002 82 tcp"),
            ("8000-8009:80", "0.0.0.0 8000-8009 80 tcp"),
            ("80-81", "0.0.0.0 any 80 tcp, 0.0.0.0 any 81 tcp"),
            ("65535:65535", "0.0.0.0 65535 65535 tcp"),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, why) in [
            ("", "is no port"),
            ("http", "is no port"),
            ("0", "is no port"),
            ("+80", "is no port"),
            ("65536:80", "is no port"),
            ("1:2:3:4", "has to be [ip:]"),
            ("80/sctp", "tcp or udp"),
            ("80/tcp/udp", "tcp or udp"),
            ("[::1]:80:80", "only IPv4"),
            ("host:80:80", "no IPv4 address"),
            ("8000-8001:80-82", "equally long"),
            ("82-80", "backwards"),
        ] {
            let message = written(text);
            assert!(message.contains(why) && message.contains("--publish"), "{text}: {message}");
        }
    }

    #[test]
    fn collisions_are_seen() {
        let port = |ip: [u8; 4], host_port, protocol| PortMapping {
            host_ip: ip.into(),
            host_port,
            container_port: 80,
            protocol,
        };
        let all = port([0; 4], 80, Protocol::Tcp);
        let one = port([127, 0, 0, 1], 80, Protocol::Tcp);
        assert!(all.collides(&one) && one.collides(&all) && one.collides(&one));
        assert!(!one.collides(&port([10, 0, 0, 1], 80, Protocol::Tcp)));
        assert!(!all.collides(&port([0; 4], 80, Protocol::Udp)) && !all.collides(&port([0; 4], 81, Protocol::Tcp)));
    }
}
