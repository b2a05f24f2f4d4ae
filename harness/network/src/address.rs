//! Addresses and names, as people write them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A name that a container's `/etc/hosts` gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its address; none stands for the bridge's gateway, which is the host (`host-gateway`).
    pub address: Option<IpAddr>,
}

/// Reads `name:address`, `name=address` or, for the host's own address on the bridge, `name:host-gateway`.
///
/// # Errors
/// [`Error::Invalid`]
pub fn parse_add_host(text: &str) -> Result<ExtraHost> {
    let wrong = |why: &str| Error::invalid("--add-host", text, why);
    // An address of IPv6 has colons, too.
    let (name, address) = text.split_once(['=', ':']).ok_or_else(|| wrong("it has to be name:address"))?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(wrong("the name is empty or holds what no name of a host can"));
    }
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    let address = match bare {
        "host-gateway" => None,
        bare => Some(bare.parse().map_err(|_| wrong("what follows the name is no address"))?),
    };
    Ok(ExtraHost { name: name.to_owned(), address })
}

/// Reads the address of a name server.
///
/// # Errors
/// [`Error::Invalid`]
pub fn parse_dns(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| Error::invalid("--dns", text, "it is no address of a name server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        let read = |text| parse_add_host(text).map(|host| (host.name, host.address.map(|address| address.to_string())));
        let v4 = || Some("10.0.0.1".to_owned());
        assert_eq!(read("db:10.0.0.1").unwrap(), ("db".to_owned(), v4()));
        assert_eq!(read("db.x=10.0.0.1").unwrap(), ("db.x".to_owned(), v4()));
        assert_eq!(read("six:[::1]").unwrap().1, Some("::1".to_owned()));
        assert_eq!(read("six:fe80::1").unwrap().1, Some("fe80::1".to_owned()));
        assert_eq!(read("me:host-gateway").unwrap(), ("me".to_owned(), None));
        for wrong in ["", "db", ":1.2.3.4", "a b:1.2.3.4", "a\nb:1.2.3.4", "a#:1.2.3.4", "db:", "db:1.2.3", "db:host"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn name_servers_are_addresses() {
        assert_eq!(parse_dns("::1").unwrap().to_string(), "::1");
        assert!(parse_dns("dns.example").unwrap_err().to_string().starts_with("invalid --dns \"dns.example\""));
    }
}
