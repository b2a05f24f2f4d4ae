//! Containers' networks: a bridge with addresses, a way out and published ports.
//!
//! A [`Bridge`] belongs to a directory, which keeps its name, its subnet and who has which address. It gives a container,
//! named by its network namespace, an interface on it ([`Bridge::attach`]); any process can take that back
//! ([`Bridge::detach`]), and [`gc()`] takes what a crash left. All is done in the network namespace of the calling thread.
//!
//! The kernel is spoken to by netlink(7) directly: rtnetlink for interfaces, addresses and routes, nfnetlink for the rules
//! of nftables. Neither programs nor libraries of the system are needed.
#![deny(missing_docs)]

mod address;
mod bridge;
mod error;
mod files;
mod firewall;
mod gc;
mod link;
mod namespace;
mod netlink;
mod ports;
mod publish;
mod state;
mod subnet;
mod sysctl;

pub use address::{ExtraHost, MacAddress, parse_add_host, parse_dns};
pub use bridge::{Attachment, Bridge};
pub use error::{Error, Result};
pub use files::{Dns, host_resolv_conf, hosts, resolv_conf};
pub use gc::{Left, gc};
pub use namespace::Namespace;
pub use ports::{HostPorts, PortMapping, Protocol, PublishedPort, parse_publish};
pub use subnet::Subnet;
