//! Which rules a bridge has.
//!
//! ```text
//! table ip harness0 {
//!   chain guard      { type filter hook prerouting priority raw;
//!                      iifname harness0 ip daddr 127.0.0.0/8 drop }
//!   chain published  { ip daddr A tcp dport P dnat to C:Q; ... }
//!   chain arriving   { type nat hook prerouting priority dstnat; fib daddr type local jump published }
//!   chain local      { type nat hook output priority dstnat; fib daddr type local jump published }
//!   chain leaving    { type nat hook postrouting priority srcnat;
//!                      ip saddr SUBNET oifname != harness0 masquerade
//!                      ip saddr 127.0.0.0/8 oifname harness0 masquerade
//!                      ip saddr SUBNET oifname harness0 ct status dnat masquerade }
//!   chain forward    { type filter hook forward priority filter;
//!                      oifname harness0 ct state established,related accept
//!                      oifname harness0 ct status dnat accept
//!                      iifname harness0 oifname harness0 accept
//!                      oifname harness0 drop }
//! }
//! ```
//!
//! The first line of `guard` keeps containers from the host's own loopback services, which route_localnet alone would open
//! to them; it stands before translation, so that answers to the host's own connections pass. The last of `leaving` is for
//! containers that reach another, or themselves, by the host's address: the answer has to come back by the host.

use std::net::Ipv4Addr;

use super::{
    expression::{Expression, comes_by, connection_has, goes_by, goes_elsewhere, is_from, is_to, is_to_port},
    table::{Hook, NF_TABLES, Needs, Step, flush_chain, fresh_table, new_chain, new_rule},
};
use crate::{PortMapping, Subnet};

const CT: Needs = Needs { feature: "connection tracking in nftables (CONFIG_NFT_CT)", module: "nft_ct" };
const FIB: Needs = Needs { feature: "routes in nftables (CONFIG_NFT_FIB_IPV4)", module: "nft_fib_ipv4" };
const MASQ: Needs = Needs { feature: "masquerading in nftables (CONFIG_NFT_MASQ)", module: "nft_masq" };
const NAT: Needs = Needs { feature: "translation in nftables (CONFIG_NFT_NAT)", module: "nft_nat" };

/// Bits of a connection's state (NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h).
const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;
/// Bit of a connection's status: its destination was translated.
const IPS_DST_NAT: u32 = 1 << 5;

/// What the table of a bridge is made from.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub table: &'a str,
    pub bridge: &'a str,
    pub subnet: Subnet,
    /// With the address of the container.
    pub ports: Vec<(PortMapping, Ipv4Addr)>,
}

impl Rules<'_> {
    pub(super) fn whole(&self) -> Vec<Step> {
        let mut steps = fresh_table(self.table);
        steps.extend(self.chains());
        let loopback = Subnet::new(Ipv4Addr::LOCALHOST, 8);
        let to_host: [Expression<'_>; 2] =
            [Expression::DestinationKind, Expression::Is(u32::from(libc::RTN_LOCAL).to_ne_bytes().to_vec())];
        let mut rule = |chain: &str, parts: &[&[Expression<'_>]], last: Expression<'_>, needs: Needs| {
            let mut expressions: Vec<Expression<'_>> = parts.concat();
            expressions.push(last);
            steps.push(new_rule(self.table, chain, &expressions, needs));
        };
        let (drop, accept) = (Expression::Verdict(libc::NF_DROP), Expression::Verdict(libc::NF_ACCEPT));
        let (here, elsewhere) = (goes_by(self.bridge), goes_elsewhere(self.bridge));
        let own = is_from(self.subnet);
        let translated = connection_has(libc::NFT_CT_STATUS, IPS_DST_NAT);
        let known = connection_has(libc::NFT_CT_STATE, ESTABLISHED_OR_RELATED);
        rule("guard", &[&comes_by(self.bridge), &is_to(loopback)], drop.clone(), NF_TABLES);
        rule("arriving", &[&to_host], Expression::Jump("published"), FIB);
        rule("local", &[&to_host], Expression::Jump("published"), FIB);
        rule("leaving", &[&own, &elsewhere], Expression::Masquerade, MASQ);
        rule("leaving", &[&is_from(loopback), &here], Expression::Masquerade, MASQ);
        rule("leaving", &[&own, &here, &translated], Expression::Masquerade, CT);
        rule("forward", &[&here, &known], accept.clone(), CT);
        rule("forward", &[&here, &translated], accept.clone(), CT);
        rule("forward", &[&comes_by(self.bridge), &here], accept, NF_TABLES);
        rule("forward", &[&here], drop, NF_TABLES);
        steps.extend(self.ports());
        steps
    }

    pub(super) fn published(&self) -> Vec<Step> {
        let mut steps = vec![flush_chain(self.table, "published")];
        steps.extend(self.ports());
        steps
    }

    fn chains(&self) -> Vec<Step> {
        let hook = |kind, number, priority| Some(Hook { kind, number, priority });
        let chains = [
            ("guard", hook("filter", libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_RAW)),
            ("published", None),
            ("arriving", hook("nat", libc::NF_INET_PRE_ROUTING, libc::NF_IP_PRI_NAT_DST)),
            ("local", hook("nat", libc::NF_INET_LOCAL_OUT, libc::NF_IP_PRI_NAT_DST)),
            ("leaving", hook("nat", libc::NF_INET_POST_ROUTING, libc::NF_IP_PRI_NAT_SRC)),
            ("forward", hook("filter", libc::NF_INET_FORWARD, libc::NF_IP_PRI_FILTER)),
        ];
        chains.into_iter().map(|(name, hook)| new_chain(self.table, name, hook)).collect()
    }

    fn ports(&self) -> Vec<Step> {
        let rule = |(port, container): &(PortMapping, Ipv4Addr)| {
            let mut expressions = Vec::new();
            if !port.host_ip.is_unspecified() {
                expressions.extend(is_to(Subnet::new(port.host_ip, 32)));
            }
            expressions.extend(is_to_port(port.protocol, port.host_port));
            expressions.push(Expression::DestinationNat(*container, port.container_port));
            new_rule(self.table, "published", &expressions, NAT)
        };
        self.ports.iter().map(rule).collect()
    }
}
