//! Interfaces, addresses and routes, by rtnetlink(7).

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, BorrowedFd},
};

use crate::{
    Error, Result, Subnet,
    netlink::{Message, Reply, Socket},
};

/// Length of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;
/// Length of `struct rtmsg`.
const RTMSG: usize = 12;
/// The attribute of a veth's data that describes its other end.
const VETH_INFO_PEER: u16 = 1;
/// The attribute of a bridge's port that says whether frames go back.
const IFLA_BRPORT_MODE: u16 = 4;
const NEW: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
const INET: u8 = libc::AF_INET as u8;

/// An address of Ethernet.
pub(crate) type Mac = [u8; 6];

/// What is asked of rtnetlink, in the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Links {
    socket: Socket,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub index: u32,
    pub name: String,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    pub mac: Option<Mac>,
    pub mtu: Option<u32>,
}

/// Both ends of a pair.
#[derive(Debug)]
pub(crate) struct Veth<'a> {
    pub name: &'a str,
    pub bridge: u32,
    pub mtu: Option<u32>,
    pub peer: &'a str,
    pub peer_mac: Mac,
    pub namespace: BorrowedFd<'a>,
}

impl Links {
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(None).map_err(Error::kernel("open a netlink socket"))? })
    }

    /// The interface of this name.
    pub fn find(&self, name: &str) -> Result<Option<Link>> {
        let message = Message::new(libc::RTM_GETLINK, 0, &ifinfomsg(0, 0, 0))
            .with(|attributes| _ = attributes.text(libc::IFLA_IFNAME, name));
        match self.socket.get(message) {
            Ok(reply) => Ok(reply.as_ref().and_then(link)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(Error::kernel(format!("look for the interface {name}"))(error)),
        }
    }

    /// All interfaces of the namespace.
    pub fn all(&self) -> Result<Vec<Link>> {
        let message = Message::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &ifinfomsg(0, 0, 0));
        let links = self.socket.dump(message, |reply| link(&reply)).map_err(Error::kernel("list the interfaces"))?;
        Ok(links.into_iter().flatten().collect())
    }

    /// Makes a bridge, up, whose address does not change with its ports.
    pub fn create_bridge(&self, name: &str, mac: Mac) -> Result<()> {
        let message = Message::new(libc::RTM_NEWLINK, NEW, &ifinfomsg(0, libc::IFF_UP, libc::IFF_UP)).with(|a| {
            a.text(libc::IFLA_IFNAME, name)
                .put(libc::IFLA_ADDRESS, &mac)
                .nest(libc::IFLA_LINKINFO, |info| _ = info.text(libc::IFLA_INFO_KIND, "bridge"));
        });
        self.socket.request(message).map_err(|source| match source.raw_os_error() {
            Some(libc::EOPNOTSUPP) => Error::Missing {
                what: "a bridge network",
                feature: "bridge interfaces (CONFIG_BRIDGE)",
                module: "bridge",
            },
            _ => Error::kernel(format!("make the bridge {name}"))(source),
        })
    }

    /// Makes a pair of interfaces: one here on the bridge, up, its other end in the namespace, which cannot be up before
    /// they are a pair.
    pub fn create_veth(&self, veth: &Veth<'_>) -> Result<()> {
        let up = ifinfomsg(0, libc::IFF_UP, libc::IFF_UP);
        let namespace = veth.namespace.as_raw_fd().unsigned_abs();
        let message = Message::new(libc::RTM_NEWLINK, NEW, &up).with(|a| {
            a.text(libc::IFLA_IFNAME, veth.name).u32(libc::IFLA_MASTER, veth.bridge);
            if let Some(mtu) = veth.mtu {
                a.u32(libc::IFLA_MTU, mtu);
            }
            a.nest(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |data| {
                    data.nest_after(VETH_INFO_PEER, &ifinfomsg(0, 0, 0), |peer| {
                        peer.text(libc::IFLA_IFNAME, veth.peer)
                            .put(libc::IFLA_ADDRESS, &veth.peer_mac)
                            .u32(libc::IFLA_NET_NS_FD, namespace);
                        if let Some(mtu) = veth.mtu {
                            peer.u32(libc::IFLA_MTU, mtu);
                        }
                    });
                });
            });
        });
        self.socket.request(message).map_err(|source| match source.raw_os_error() {
            Some(libc::EOPNOTSUPP) => Error::Missing {
                what: "a bridge network",
                feature: "pairs of interfaces (CONFIG_VETH)",
                module: "veth",
            },
            _ => Error::kernel(format!("make the container's interface {}", veth.name))(source),
        })
    }

    /// Switches an interface on.
    pub fn set_up(&self, index: u32) -> Result<()> {
        let message = Message::new(libc::RTM_SETLINK, 0, &ifinfomsg(index, libc::IFF_UP, libc::IFF_UP));
        self.socket.request(message).map_err(Error::kernel("switch the container's interface on"))
    }

    /// Lets a bridge send a frame back by the port by which it came, as for a container that speaks to itself by the host's
    /// address: where the kernel shows bridged frames to nftables (br_netfilter), they do not come up to the host.
    pub fn set_hairpin(&self, index: u32) -> Result<()> {
        let mut fixed = ifinfomsg(index, 0, 0);
        fixed[0] = libc::AF_BRIDGE as u8;
        let message = Message::new(libc::RTM_SETLINK, 0, &fixed)
            .with(|a| _ = a.nest(libc::IFLA_PROTINFO, |port| _ = port.put(IFLA_BRPORT_MODE, &[1])));
        self.socket.request(message).map_err(Error::kernel("let the bridge send frames back"))
    }

    /// Removes an interface; with one end of a pair goes the other. One that is gone is no error.
    pub fn delete(&self, name: &str) -> Result<()> {
        let message =
            Message::new(libc::RTM_DELLINK, 0, &ifinfomsg(0, 0, 0)).with(|a| _ = a.text(libc::IFLA_IFNAME, name));
        match self.socket.request(message) {
            Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
                Err(Error::kernel(format!("remove the interface {name}"))(error))
            }
            _ => Ok(()),
        }
    }

    /// Gives an interface an address. One that it has already is no error.
    pub fn add_address(&self, index: u32, address: Ipv4Addr, subnet: Subnet) -> Result<()> {
        // struct ifaddrmsg: family, prefix, flags, scope, index
        let mut fixed = vec![INET, subnet.prefix(), 0, libc::RT_SCOPE_UNIVERSE];
        fixed.extend(index.to_ne_bytes());
        let message = Message::new(libc::RTM_NEWADDR, NEW, &fixed).with(|a| {
            a.put(libc::IFA_LOCAL, &address.octets())
                .put(libc::IFA_ADDRESS, &address.octets())
                .put(libc::IFA_BROADCAST, &subnet.broadcast().octets());
        });
        existing_is_fine(self.socket.request(message)).map_err(Error::kernel(format!("set the address {address}")))
    }

    /// Sends what goes elsewhere to `gateway`.
    pub fn add_default_route(&self, gateway: Ipv4Addr) -> Result<()> {
        let fixed = [
            INET,
            0,
            0,
            0,
            libc::RT_TABLE_MAIN,
            libc::RTPROT_STATIC,
            libc::RT_SCOPE_UNIVERSE,
            libc::RTN_UNICAST,
            0,
            0,
            0,
            0,
        ];
        let message =
            Message::new(libc::RTM_NEWROUTE, NEW, &fixed).with(|a| _ = a.put(libc::RTA_GATEWAY, &gateway.octets()));
        existing_is_fine(self.socket.request(message)).map_err(Error::kernel(format!("set the route by {gateway}")))
    }

    /// The subnets that the namespace has routes to; the default route is none.
    pub fn routes(&self) -> Result<Vec<Subnet>> {
        let routes = self.all_routes()?.into_iter().map(|(subnet, _)| subnet);
        Ok(routes.filter(|subnet| subnet.prefix() > 0).collect())
    }

    /// What the interface of the default route carries at once.
    pub fn default_mtu(&self) -> Result<Option<u32>> {
        let default = self.all_routes()?.into_iter().find(|(subnet, _)| subnet.prefix() == 0);
        let Some((_, Some(index))) = default else { return Ok(None) };
        Ok(self.all()?.into_iter().find(|link| link.index == index).and_then(|link| link.mtu))
    }

    fn all_routes(&self) -> Result<Vec<(Subnet, Option<u32>)>> {
        let mut fixed = [0; RTMSG];
        fixed[0] = INET;
        let message = Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP, &fixed);
        let routes = self.socket.dump(message, |reply| route(&reply)).map_err(Error::kernel("list the routes"))?;
        Ok(routes.into_iter().flatten().collect())
    }
}

/// `struct ifinfomsg`: family, padding, type, index, flags and which of them count.
fn ifinfomsg(index: u32, flags: i32, change: i32) -> [u8; IFINFOMSG] {
    let mut bytes = [0; IFINFOMSG];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn existing_is_fine(answer: io::Result<()>) -> io::Result<()> {
    match answer {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other,
    }
}

fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn link(reply: &Reply) -> Option<Link> {
    Some(Link {
        index: word(reply.body.get(4..)?)?,
        name: text(reply.attribute(IFINFOMSG, libc::IFLA_IFNAME)?),
        master: reply.attribute(IFINFOMSG, libc::IFLA_MASTER).and_then(word),
        mac: reply.attribute(IFINFOMSG, libc::IFLA_ADDRESS).and_then(|bytes| bytes.try_into().ok()),
        mtu: reply.attribute(IFINFOMSG, libc::IFLA_MTU).and_then(word),
    })
}

/// Where a route leads, and by which interface.
fn route(reply: &Reply) -> Option<(Subnet, Option<u32>)> {
    let [family, prefix, ..] = *reply.body.as_slice() else { return None };
    // Those of multicast and broadcast are no places.
    let is_place = matches!(reply.body.get(7), Some(&libc::RTN_UNICAST | &libc::RTN_LOCAL));
    if family != INET || !is_place {
        return None;
    }
    let destination = reply.attribute(RTMSG, libc::RTA_DST).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let subnet = Subnet::new(destination.unwrap_or_default().into(), prefix);
    Some((subnet, reply.attribute(RTMSG, libc::RTA_OIF).and_then(word)))
}
