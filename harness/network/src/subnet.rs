//! IPv4 subnets, and the choice of one that is free.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Serialize};

/// An IPv4 subnet such as `172.30.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Subnet {
    first: u32,
    prefix: u8,
}

impl Subnet {
    /// The subnet that `address` is in.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { first: u32::from(address) & mask(prefix), prefix }
    }

    /// Number of leading bits that all its addresses share.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Its first address, which names it.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        self.first.into()
    }

    /// Its last address, which means everybody in it.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        (self.first | !mask(self.prefix)).into()
    }

    /// The bits that make an address one of the subnet's.
    #[must_use]
    pub fn mask(self) -> Ipv4Addr {
        mask(self.prefix).into()
    }

    /// The address at this place, 0 being the subnet's own.
    #[must_use]
    pub fn nth(self, n: u32) -> Ipv4Addr {
        (self.first + n).into()
    }

    /// The place of an address of the subnet.
    #[must_use]
    pub fn index(self, address: Ipv4Addr) -> u32 {
        u32::from(address).wrapping_sub(self.first)
    }

    /// The places that hosts can have, but for the gateway at 1.
    #[must_use]
    pub fn hosts(self) -> std::ops::Range<u32> {
        2..self.index(self.broadcast())
    }

    /// Whether both have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let shared = mask(self.prefix.min(other.prefix));
        self.first & shared == other.first & shared
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The first candidate that overlaps none of `taken`: 172.30.0.0/16, its neighbours that docker takes last, and then
/// smaller ones.
pub(crate) fn choose(taken: &[Subnet]) -> Option<Subnet> {
    let sixteens = (18..=31).rev().map(|n| (172, n, 0, 16));
    let preferred = [(172, 30, 0, 16)].into_iter().chain(sixteens.filter(|&(_, n, ..)| n != 30));
    let tens = (0..=255).rev().map(|n| (10, n, 0, 16));
    let twenties = (0..16).rev().map(|n| (192, 168, n * 16, 20));
    preferred
        .chain(twenties)
        .chain(tens)
        .map(|(a, b, c, prefix)| Subnet::new(Ipv4Addr::new(a, b, c, 0), prefix))
        .find(|candidate| !taken.iter().any(|taken| taken.overlaps(*candidate)))
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let (address, prefix): (Ipv4Addr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
            let subnet = Self::new(address, prefix);
            (prefix <= 32 && subnet.network() == address).then_some(subnet)
        });
        parsed.ok_or_else(|| format!("{text} is no IPv4 subnet, such as 172.30.0.0/16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_is_read_and_written() {
        let sixteen = subnet("172.30.0.0/16");
        assert_eq!(sixteen.to_string(), "172.30.0.0/16");
        assert_eq!(sixteen.broadcast(), Ipv4Addr::new(172, 30, 255, 255));
        assert_eq!(sixteen.mask(), Ipv4Addr::new(255, 255, 0, 0));
        assert_eq!(sixteen.nth(258), Ipv4Addr::new(172, 30, 1, 2));
        assert_eq!(sixteen.index(Ipv4Addr::new(172, 30, 1, 2)), 258);
        assert_eq!(sixteen.hosts(), 2..65535);
        assert_eq!(subnet("0.0.0.0/0").broadcast(), Ipv4Addr::BROADCAST);
        for wrong in ["172.30.0.0", "172.30.0.1/16", "172.30.0.0/33", "a/8", "1.2.3/8", ""] {
            assert!(wrong.parse::<Subnet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn overlaps_are_seen_both_ways() {
        let (wide, narrow) = (subnet("172.16.0.0/12"), subnet("172.30.5.0/24"));
        assert!(wide.overlaps(narrow) && narrow.overlaps(wide) && wide.overlaps(wide));
        assert!(!narrow.overlaps(subnet("172.30.6.0/24")));
    }

    #[test]
    fn the_choice_avoids_what_is_there() {
        assert_eq!(choose(&[]), Some(subnet("172.30.0.0/16")));
        assert_eq!(choose(&[subnet("172.30.7.0/24")]), Some(subnet("172.31.0.0/16")));
        assert_eq!(choose(&[subnet("172.16.0.0/12")]), Some(subnet("192.168.240.0/20")));
        assert_eq!(choose(&[subnet("172.16.0.0/12"), subnet("192.168.0.0/16")]), Some(subnet("10.255.0.0/16")));
        assert_eq!(choose(&[subnet("0.0.0.0/0")]), None);
    }
}
