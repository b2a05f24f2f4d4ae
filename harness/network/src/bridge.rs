use std::{
    fs,
    net::Ipv4Addr,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

use crate::{
    Error, MacAddress, PortMapping, PublishedPort, Result, Subnet,
    firewall::{Firewall, Rules},
    link::{Links, Mac, Veth},
    namespace, publish,
    state::{Guard, Lease, State},
    subnet, sysctl,
};

/// What bridges are called, with a number.
pub(crate) const PREFIX: &str = "harness";

/// Numbers of bridges: one for each data root that has containers on one at a time.
const BRIDGES: u32 = 100;

/// The container's end of the pair.
const INTERFACE: &str = "eth0";

/// What Ethernet carries at once; the way out may carry less.
const USUAL_MTU: u32 = 1500;

/// The bridge of one data root. Nothing of it is in the kernel while no container is attached.
#[derive(Debug, Clone)]
pub struct Bridge {
    dir: PathBuf,
}

/// A container's place on the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The container's address.
    pub address: Ipv4Addr,
    /// The subnet's number of leading bits.
    pub prefix: u8,
    /// The host's address on the bridge.
    pub gateway: Ipv4Addr,
    /// The container's address of Ethernet, as `02:42:ac:1e:00:02`.
    pub mac: String,
    /// The bridge's name.
    pub bridge: String,
    /// The host's end of the container's interface.
    pub interface: String,
    /// What is published, with the ports that were chosen.
    pub ports: Vec<PortMapping>,
    /// Whether there is a way out of the bridge; there is none where the kernel lacks nftables.
    pub outside: bool,
}

impl Bridge {
    /// The bridge that `dir` keeps, which is made if it is missing. Nothing else is made before the first container.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Gives the network namespace `namespace` of the container an interface `eth0` on the bridge, up, with an address and
    /// a default route, and publishes `ports`. Its address of Ethernet is `mac`, else one that goes with its address. An earlier
    /// place of the same container is taken back first.
    ///
    /// The bridge is one of the calling thread's network namespace, and what is published is published there.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Privilege`] for what cannot be done here, [`Error::PortTaken`] and
    /// [`Error::NoSuchAddress`] for `ports`, [`Error::Full`], and what the kernel refuses. Nothing is left then.
    pub fn attach(
        &self,
        container: &str,
        namespace: BorrowedFd<'_>,
        ports: &[PublishedPort],
        mac: Option<MacAddress>,
    ) -> Result<Attachment> {
        let guard = Guard::take(&self.dir)?;
        let links = Links::open()?;
        let mut place = Place { links, state: State::load_or_new(&guard)?, guard };
        place.forget(|lease| lease.container == container)?;
        place.drop_the_dead_who_are_in_the_way(ports)?;
        let made = place.ensure_bridge()?;
        let attached = place.attach(container, namespace, ports, mac, made);
        attached.inspect_err(|_| place.undo(container))
    }

    /// Takes back what [`attach`](Self::attach) gave, in the same network namespace; the last container takes the bridge
    /// along. A container that has nothing is no error.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn detach(&self, container: &str) -> Result<()> {
        let guard = Guard::take(&self.dir)?;
        let Some(state) = guard.load()? else { return Ok(()) };
        let mut place = Place { links: Links::open()?, state, guard };
        place.forget(|lease| lease.container == container)?;
        // Of a container that was killed nobody gives anything back.
        place.forget_the_dead()?;
        place.remove_bridge_if_unused()
    }
}

impl State {
    /// What is known, or a bridge of an owner that nobody else is.
    fn load_or_new(guard: &Guard) -> Result<Self> {
        if let Some(state) = guard.load()? {
            return Ok(state);
        }
        let mut mac: Mac = [0x02, 0x42, 0, 0, 0, 0];
        getrandom(&mut mac[2..], GetRandomFlags::empty()).map_err(Error::kernel("get random bytes"))?;
        let subnet = Subnet::new(Ipv4Addr::new(172, 30, 0, 0), 16);
        Ok(Self { mac, bridge: format!("{PREFIX}0"), subnet, mtu: None, leases: Vec::new() })
    }
}

/// A bridge that is being worked on.
pub(crate) struct Place {
    pub links: Links,
    pub state: State,
    pub guard: Guard,
}

impl Place {
    /// Takes back the leases that `is_meant` says, and what they are of in the kernel.
    pub fn forget(&mut self, is_meant: impl Fn(&Lease) -> bool) -> Result<Vec<Lease>> {
        let (gone, kept): (Vec<_>, Vec<_>) = self.state.leases.drain(..).partition(is_meant);
        self.state.leases = kept;
        for lease in &gone {
            self.links.delete(&lease.interface)?;
        }
        if gone.iter().any(|lease| !lease.ports.is_empty()) {
            self.publish()?;
        }
        if !gone.is_empty() {
            self.guard.save(&self.state)?;
        }
        Ok(gone)
    }

    /// Takes back the leases of containers that are gone, whose interfaces the kernel has removed with them.
    pub fn forget_the_dead(&mut self) -> Result<()> {
        if self.state.leases.is_empty() {
            return Ok(());
        }
        let there: Vec<String> = self.links.all()?.into_iter().map(|link| link.name).collect();
        self.forget(|lease| !there.contains(&lease.interface)).map(drop)
    }

    /// To look at every interface takes time, so this is done only when something is wanted that a lease has.
    fn drop_the_dead_who_are_in_the_way(&mut self, ports: &[PublishedPort]) -> Result<()> {
        let is_wanted = |mapping: &PortMapping| ports.iter().any(|port| port.could_be(mapping));
        let a_port_is_held = self.state.ports().iter().any(|(mapping, _)| is_wanted(mapping));
        if a_port_is_held || self.state.free_address().is_none() {
            self.forget_the_dead()?;
        }
        Ok(())
    }

    /// Whether it had to be made.
    fn ensure_bridge(&mut self) -> Result<bool> {
        if self.bridge_index()?.is_some() {
            return Ok(false);
        }
        // A bridge does not go by itself while containers are on it; but somebody may have removed it.
        self.forget_the_dead()?;
        self.choose_name()?;
        self.choose_subnet()?;
        self.state.mtu = self.links.default_mtu()?.filter(|mtu| *mtu < USUAL_MTU);
        self.guard.save(&self.state)?;
        self.links.create_bridge(&self.state.bridge, self.state.mac)?;
        let index = self.bridge_index()?.unwrap_or_default();
        let configure = || {
            self.links.add_address(index, self.state.gateway(), self.state.subnet)?;
            // The host's own connections to published ports come from its loopback address.
            sysctl::set_ipv4(&format!("conf/{}/route_localnet", self.state.bridge), "1")?;
            sysctl::set_ipv4("ip_forward", "1")
        };
        configure().inspect_err(|_| _ = self.links.delete(&self.state.bridge))?;
        Ok(true)
    }

    /// The bridge, if it is there and ours.
    pub fn bridge_index(&self) -> Result<Option<u32>> {
        let found = self.links.find(&self.state.bridge)?;
        Ok(found.filter(|link| link.mac == Some(self.state.mac)).map(|link| link.index))
    }

    fn choose_name(&mut self) -> Result<()> {
        for number in 0..BRIDGES {
            let name = format!("{PREFIX}{number}");
            if self.links.find(&name)?.is_none() {
                self.state.bridge = name;
                return Ok(());
            }
        }
        Err(Error::Kernel {
            action: format!("name a bridge: {PREFIX}0 to {PREFIX}{} are taken", BRIDGES - 1),
            source: std::io::ErrorKind::AlreadyExists.into(),
        })
    }

    fn choose_subnet(&mut self) -> Result<()> {
        let routes = self.links.routes()?;
        let Some(route) = routes.iter().find(|route| route.overlaps(self.state.subnet)) else { return Ok(()) };
        if !self.state.leases.is_empty() {
            return Err(Error::Collides { subnet: self.state.subnet, route: *route });
        }
        self.state.subnet = subnet::choose(&routes).ok_or(Error::NoSubnet)?;
        Ok(())
    }

    fn attach(
        &mut self,
        container: &str,
        namespace: BorrowedFd<'_>,
        ports: &[PublishedPort],
        mac: Option<MacAddress>,
        fresh: bool,
    ) -> Result<Attachment> {
        let state = &self.state;
        let holder = |mapping: &PortMapping| {
            let held = |lease: &&Lease| lease.ports.iter().any(|port| port.collides(mapping));
            state.leases.iter().find(held).map(|lease| format!("container {}", lease.container))
        };
        let (mappings, held): (Vec<_>, Vec<_>) = publish::choose(ports, &holder)?.into_iter().unzip();
        let address = state.free_address().ok_or(Error::Full { subnet: state.subnet })?;
        let interface = state.interface(address);
        // The record names what is made before it is made.
        let lease =
            Lease { container: container.to_owned(), address, interface: interface.clone(), ports: mappings.clone() };
        self.state.leases.push(lease);
        self.guard.save(&self.state)?;
        let mac = mac.unwrap_or_else(|| MacAddress::of(address));
        self.connect(&interface, address, mac, namespace)?;
        let outside = self.protect(fresh, !mappings.is_empty())?;
        drop(held);
        Ok(Attachment {
            address,
            prefix: self.state.subnet.prefix(),
            gateway: self.state.gateway(),
            mac: mac.to_string(),
            bridge: self.state.bridge.clone(),
            interface,
            ports: mappings,
            outside,
        })
    }

    fn connect(&self, interface: &str, address: Ipv4Addr, mac: MacAddress, namespace: BorrowedFd<'_>) -> Result<()> {
        let bridge = self.bridge_index()?.unwrap_or_default();
        let veth =
            Veth { name: interface, bridge, mtu: self.state.mtu, peer: INTERFACE, peer_mac: mac.bytes(), namespace };
        self.links.create_veth(&veth)?;
        let port = self.links.find(interface)?.map(|link| link.index).unwrap_or_default();
        self.links.set_hairpin(port)?;
        let (subnet, gateway) = (self.state.subnet, self.state.gateway());
        namespace::within(namespace, || {
            let links = Links::open()?;
            let index = links.find(INTERFACE)?.map(|link| link.index).unwrap_or_default();
            links.add_address(index, address, subnet)?;
            links.set_up(index)?;
            links.add_default_route(gateway)
        })
    }

    /// Sees to the rules. Whether there are any.
    fn protect(&self, fresh: bool, publishes: bool) -> Result<bool> {
        let ensured = Firewall::open().and_then(|firewall| {
            if fresh || !firewall.exists(&self.state.bridge)? {
                firewall.install(&self.rules())
            } else if publishes {
                firewall.publish(&self.rules())
            } else {
                Ok(())
            }
        });
        match ensured {
            Ok(()) => Ok(true),
            // The bridge alone is better than nothing.
            Err(error @ Error::Missing { .. }) if !publishes => {
                tracing::warn!(%error, "containers reach each other and this host only");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn publish(&self) -> Result<()> {
        let firewall = Firewall::open()?;
        if firewall.exists(&self.state.bridge)? { firewall.publish(&self.rules()) } else { Ok(()) }
    }

    fn rules(&self) -> Rules<'_> {
        let State { bridge, subnet, .. } = &self.state;
        Rules { table: bridge, bridge, subnet: *subnet, ports: self.state.ports() }
    }

    fn undo(&mut self, container: &str) {
        let undone = self.forget(|lease| lease.container == container).and_then(|_| self.remove_bridge_if_unused());
        if let Err(error) = undone {
            tracing::warn!(%error, container, "a network that could not be made is not undone; harness gc does that");
        }
    }

    /// Removes the bridge and its rules when nobody has an address.
    pub fn remove_bridge_if_unused(&self) -> Result<()> {
        let found = self.links.find(&self.state.bridge)?;
        // The name may be another root's by now, and the rules with it.
        let is_anothers = found.as_ref().is_some_and(|link| link.mac != Some(self.state.mac));
        if !self.state.leases.is_empty() || is_anothers {
            return Ok(());
        }
        if let Ok(firewall) = Firewall::open() {
            firewall.remove(&self.state.bridge)?;
        }
        if found.is_some() { self.links.delete(&self.state.bridge) } else { Ok(()) }
    }
}
