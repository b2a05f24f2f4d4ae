use std::{io, net::Ipv4Addr, path::PathBuf};

use crate::{PortMapping, Subnet};

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a container has no network, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option makes no sense.
    #[error("invalid {option} {value:?}: {why}")]
    Invalid {
        /// Such as "--publish".
        option: &'static str,
        /// As given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel cannot do it.
    #[error(
        "{what} needs {feature}, which this kernel does not have: load {module} (modprobe) or use --network none or host"
    )]
    Missing {
        /// What was wanted.
        what: &'static str,
        /// What of the kernel does it, with its configuration option.
        feature: &'static str,
        /// The module's name.
        module: &'static str,
    },
    /// The user may not do it.
    #[error("a bridge network needs root (CAP_NET_ADMIN): run as root, or use --network none or host")]
    Privilege,
    /// The kernel refuses.
    #[error("could not {action}: {source}")]
    Kernel {
        /// What was being done.
        action: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// Another container, or a program of the host, has the port.
    #[error("cannot publish {port}: {holder} has it")]
    PortTaken {
        /// Address, port and protocol on the host.
        port: String,
        /// Who has it.
        holder: String,
    },
    /// The host has no such address.
    #[error("cannot publish on {address}: the host has no such address")]
    NoSuchAddress {
        /// As asked for.
        address: Ipv4Addr,
    },
    /// Every address of the subnet has a container.
    #[error("no address is left in {subnet}: remove containers")]
    Full {
        /// The bridge's.
        subnet: Subnet,
    },
    /// Every subnet collides with a route of the host.
    #[error("no private subnet is free: every candidate collides with a route of this host")]
    NoSubnet,
    /// The subnet that containers run in now collides.
    #[error(
        "the bridge's subnet {subnet} collides with this host's route to {route}: stop the containers on it, and it moves"
    )]
    Collides {
        /// The bridge's.
        subnet: Subnet,
        /// What came later.
        route: Subnet,
    },
    /// The record cannot be understood.
    #[error("{path} is damaged ({why}): stop all containers with a bridge network and remove it")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file or directory.
    #[error("could not {action} {path}: {source}")]
    File {
        /// Such as "open".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Writing the record failed.
    #[error(transparent)]
    Record(#[from] storage_driver::Error),
}

impl Error {
    pub(crate) fn invalid(option: &'static str, value: &str, why: impl Into<String>) -> Self {
        Self::Invalid { option, value: value.to_owned(), why: why.into() }
    }

    pub(crate) fn kernel<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| {
            let source = source.into();
            match source.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => Self::Privilege,
                _ => Self::Kernel { action: action.into(), source },
            }
        }
    }

    pub(crate) fn file<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        move |source| Self::File { action, path: path.into(), source: source.into() }
    }

    pub(crate) fn taken(port: &PortMapping, holder: impl Into<String>) -> Self {
        Self::PortTaken { port: port.to_string(), holder: holder.into() }
    }
}
