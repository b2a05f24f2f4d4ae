//! Which ports of the host a container gets.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket},
};

use crate::{Error, HostPorts, PortMapping, Protocol, PublishedPort, Result};

/// How often another port is asked for when the kernel gives one that a container has.
const TRIES: usize = 64;

/// A socket that keeps programs of the host from taking the port meanwhile.
#[derive(Debug)]
pub(crate) enum Held {
    Tcp(#[expect(dead_code, reason = "held open")] TcpListener),
    Udp(#[expect(dead_code, reason = "held open")] UdpSocket),
}

/// Finds a port of the host for each of `wanted`. What `taken` says of a port is who else has it.
pub(crate) fn choose(
    wanted: &[PublishedPort],
    taken: &dyn Fn(&PortMapping) -> Option<String>,
) -> Result<Vec<(PortMapping, Held)>> {
    let mut chosen: Vec<(PortMapping, Held)> = Vec::new();
    for port in wanted {
        let holder = |mapping: &PortMapping| {
            let own = chosen.iter().any(|(other, _)| other.collides(mapping));
            taken(mapping).or_else(|| own.then(|| "another port of this container".to_owned()))
        };
        let found = match port.host_ports {
            HostPorts::Any => any(port, &holder)?,
            HostPorts::Range(from, to) => first_free(port, from, to, &holder)?,
        };
        chosen.push(found);
    }
    Ok(chosen)
}

fn mapping(port: &PublishedPort, host_port: u16) -> PortMapping {
    let &PublishedPort { host_ip, container_port, protocol, .. } = port;
    PortMapping { host_ip, host_port, container_port, protocol }
}

/// One that the kernel gives, out of its range for that (`net.ipv4.ip_local_port_range`).
fn any(port: &PublishedPort, holder: &dyn Fn(&PortMapping) -> Option<String>) -> Result<(PortMapping, Held)> {
    // Those that a container has are kept until another has come, so that the kernel gives none of them again.
    let mut unfit = Vec::new();
    for _ in 0..TRIES {
        let (host_port, held) = bind(port.host_ip, 0, port.protocol).map_err(refused(&mapping(port, 0)))?;
        let mapping = mapping(port, host_port);
        if holder(&mapping).is_none() {
            return Ok((mapping, held));
        }
        unfit.push(held);
    }
    Err(Error::taken(&mapping(port, 0), "every port that the kernel gives is published, somebody"))
}

fn first_free(
    port: &PublishedPort,
    from: u16,
    to: u16,
    holder: &dyn Fn(&PortMapping) -> Option<String>,
) -> Result<(PortMapping, Held)> {
    let mut last = None;
    for host_port in from..=to {
        let mapping = mapping(port, host_port);
        let tried = match holder(&mapping) {
            Some(holder) => Err(Error::taken(&mapping, holder)),
            None => bind(port.host_ip, host_port, port.protocol).map_err(refused(&mapping)),
        };
        match tried {
            Ok((_, held)) => return Ok((mapping, held)),
            Err(error @ Error::PortTaken { .. }) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::taken(&mapping(port, from), "nobody")))
}

fn bind(address: Ipv4Addr, port: u16, protocol: Protocol) -> io::Result<(u16, Held)> {
    let place = SocketAddrV4::new(address, port);
    Ok(match protocol {
        Protocol::Tcp => {
            let listener = TcpListener::bind(place)?;
            (listener.local_addr()?.port(), Held::Tcp(listener))
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(place)?;
            (socket.local_addr()?.port(), Held::Udp(socket))
        }
    })
}

fn refused(mapping: &PortMapping) -> impl FnOnce(io::Error) -> Error {
    let mapping = *mapping;
    move |error| match error.kind() {
        io::ErrorKind::AddrInUse => Error::taken(&mapping, "a program of this host"),
        io::ErrorKind::AddrNotAvailable => Error::NoSuchAddress { address: mapping.host_ip },
        _ => Error::kernel(format!("try the port {mapping}"))(error),
    }
}
