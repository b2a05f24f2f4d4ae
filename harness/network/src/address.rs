//! Addresses and names, as people write them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, link::Mac};

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

/// An interface's address of Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacAddress(Mac);

impl MacAddress {
    /// One that goes with the address, as docker makes them: so the neighbours' tables stay right when a container takes the
    /// address of one that is gone.
    pub(crate) fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    pub(crate) const fn bytes(self) -> Mac {
        self.0
    }
}

impl FromStr for MacAddress {
    type Err = Error;

    /// `92:d0:c6:0a:29:33`, of one interface that is not nothing: the kernel takes no other (is_valid_ether_addr).
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::invalid("--mac-address", text, why);
        let mut bytes = Mac::default();
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .and_then(|part| u8::from_str_radix(part, 16).ok());
            *byte =
                part.ok_or_else(|| wrong("it has to be six bytes of two hexadecimal digits, as 92:d0:c6:0a:29:33"))?;
        }
        match parts.next() {
            Some(_) => Err(wrong("it has more than six bytes")),
            None if bytes[0] & 1 == 1 => Err(wrong("it is a group's: its first byte is odd")),
            None if bytes == Mac::default() => Err(wrong("it is nobody's")),
            None => Ok(Self(bytes)),
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
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
    fn addresses_of_ethernet_are_one_interfaces() {
        let read = |text: &str| text.parse::<MacAddress>().map(|mac| mac.to_string());
        assert_eq!(read("92:D0:c6:0a:29:33").unwrap(), "92:d0:c6:0a:29:33");
        assert_eq!(read("02-42-ac-11-00-02").unwrap(), "02:42:ac:11:00:02");
        for wrong in
            ["", "1:2:3:4:5:6", "92:d0:c6:0a:29", "92:d0:c6:0a:29:33:44", "93:d0:c6:0a:29:33", "00:00:00:00:00:00"]
        {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert!(read("92:d0:c6:0a:29:+3").is_err());
    }

    #[test]
    fn name_servers_are_addresses() {
        assert_eq!(parse_dns("::1").unwrap().to_string(), "::1");
        assert!(parse_dns("dns.example").unwrap_err().to_string().starts_with("invalid --dns \"dns.example\""));
    }
}
