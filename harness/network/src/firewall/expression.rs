//! The steps of a rule. Numbers are those of linux/netfilter/nf_tables.h.

use std::net::Ipv4Addr;

use crate::{Protocol, Subnet, netlink::Attributes};

const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;
/// Where an expression of one source and one target has them.
const DREG: u16 = 1;
const KEY: u16 = 2;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFTA_BITWISE_SREG: u16 = 1;
const NFTA_BITWISE_DREG: u16 = 2;
const NFTA_BITWISE_LEN: u16 = 3;
const NFTA_BITWISE_MASK: u16 = 4;
const NFTA_BITWISE_XOR: u16 = 5;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFTA_FIB_RESULT: u16 = 2;
const NFTA_FIB_FLAGS: u16 = 3;
const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
const NFTA_FIB_F_DADDR: u32 = 2;
const NFTA_NAT_TYPE: u16 = 1;
const NFTA_NAT_FAMILY: u16 = 2;
const NFTA_NAT_REG_ADDR_MIN: u16 = 3;
const NFTA_NAT_REG_PROTO_MIN: u16 = 5;

const VERDICT: u32 = libc::NFT_REG_VERDICT as u32;
const FIRST: u32 = libc::NFT_REG_1 as u32;
const SECOND: u32 = libc::NFT_REG_2 as u32;

/// Length of an interface's name in a register.
const IFNAMSIZ: usize = 16;

/// A step of a rule. Values pass in the first register from one that loads to one that compares.
#[derive(Debug, Clone)]
pub(super) enum Expression<'a> {
    /// Loads something about the packet (`NFT_META_*`).
    Meta(i32),
    /// Loads bytes of a header.
    Payload { base: i32, offset: u32, length: u32 },
    /// Loads something about the connection (`NFT_CT_*`).
    Connection(i32),
    /// Loads what kind of address the packet goes to.
    DestinationKind,
    /// Keeps some bits of what was loaded.
    Mask(Vec<u8>),
    /// Goes on only if what was loaded is this.
    Is(Vec<u8>),
    /// Goes on only if what was loaded is not this.
    IsNot(Vec<u8>),
    /// Decides.
    Verdict(i32),
    /// Goes through the rules of another chain.
    Jump(&'a str),
    /// Sends the packet, and its connection, there.
    DestinationNat(Ipv4Addr, u16),
    /// Gives the packet, and its connection, the sending interface's address as its source.
    Masquerade,
}

impl Expression<'_> {
    pub(super) fn put(&self, element: &mut Attributes<'_>) {
        match self {
            Self::Meta(key) => named(element, "meta", |a| _ = a.be32(DREG, FIRST).be32(KEY, key.cast_unsigned())),
            Self::Payload { base, offset, length } => named(element, "payload", |a| {
                a.be32(DREG, FIRST)
                    .be32(NFTA_PAYLOAD_BASE, base.cast_unsigned())
                    .be32(NFTA_PAYLOAD_OFFSET, *offset)
                    .be32(NFTA_PAYLOAD_LEN, *length);
            }),
            Self::Connection(key) => named(element, "ct", |a| _ = a.be32(DREG, FIRST).be32(KEY, key.cast_unsigned())),
            Self::DestinationKind => named(element, "fib", |a| {
                a.be32(DREG, FIRST)
                    .be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE)
                    .be32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
            }),
            Self::Mask(mask) => named(element, "bitwise", |a| {
                a.be32(NFTA_BITWISE_SREG, FIRST)
                    .be32(NFTA_BITWISE_DREG, FIRST)
                    .be32(NFTA_BITWISE_LEN, mask.len() as u32)
                    .nest(NFTA_BITWISE_MASK, |data| _ = data.put(NFTA_DATA_VALUE, mask))
                    .nest(NFTA_BITWISE_XOR, |data| _ = data.put(NFTA_DATA_VALUE, &vec![0; mask.len()]));
            }),
            Self::Is(value) => compare(element, libc::NFT_CMP_EQ, value),
            Self::IsNot(value) => compare(element, libc::NFT_CMP_NEQ, value),
            Self::Verdict(code) => verdict(element, *code, None),
            Self::Jump(chain) => verdict(element, libc::NFT_JUMP, Some(chain)),
            Self::DestinationNat(..) => named(element, "nat", |a| {
                a.be32(NFTA_NAT_TYPE, libc::NFT_NAT_DNAT as u32)
                    .be32(NFTA_NAT_FAMILY, libc::AF_INET as u32)
                    .be32(NFTA_NAT_REG_ADDR_MIN, FIRST)
                    .be32(NFTA_NAT_REG_PROTO_MIN, SECOND);
            }),
            Self::Masquerade => named(element, "masq", |_| ()),
        }
    }

    /// What has to be in the registers before this one, as further expressions of the rule.
    pub(super) fn loads(&self, list: &mut Attributes<'_>, kind: u16) {
        if let Self::DestinationNat(address, port) = self {
            list.nest(kind, |element| load(element, FIRST, &address.octets()));
            list.nest(kind, |element| load(element, SECOND, &port.to_be_bytes()));
        }
    }
}

/// Goes on only for packets that came in by this interface.
pub(super) fn comes_by(interface: &str) -> [Expression<'static>; 2] {
    [Expression::Meta(libc::NFT_META_IIFNAME), Expression::Is(name(interface))]
}

/// Goes on only for packets that go out by this interface.
pub(super) fn goes_by(interface: &str) -> [Expression<'static>; 2] {
    [Expression::Meta(libc::NFT_META_OIFNAME), Expression::Is(name(interface))]
}

/// Goes on only for packets that do not go out by this interface.
pub(super) fn goes_elsewhere(interface: &str) -> [Expression<'static>; 2] {
    [Expression::Meta(libc::NFT_META_OIFNAME), Expression::IsNot(name(interface))]
}

/// Goes on only for packets from these addresses.
pub(super) fn is_from(subnet: Subnet) -> [Expression<'static>; 3] {
    address(12, subnet)
}

/// Goes on only for packets to these addresses.
pub(super) fn is_to(subnet: Subnet) -> [Expression<'static>; 3] {
    address(16, subnet)
}

/// Goes on only for packets to this port.
pub(super) fn is_to_port(protocol: Protocol, port: u16) -> [Expression<'static>; 4] {
    let number = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
    };
    [
        Expression::Meta(libc::NFT_META_L4PROTO),
        Expression::Is(vec![number as u8]),
        Expression::Payload { base: libc::NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2 },
        Expression::Is(port.to_be_bytes().to_vec()),
    ]
}

/// Goes on only for packets of connections with one of these bits.
pub(super) fn connection_has(key: i32, bits: u32) -> [Expression<'static>; 3] {
    [
        Expression::Connection(key),
        Expression::Mask(bits.to_ne_bytes().to_vec()),
        Expression::IsNot(0u32.to_ne_bytes().to_vec()),
    ]
}

fn address(offset: u32, subnet: Subnet) -> [Expression<'static>; 3] {
    [
        Expression::Payload { base: libc::NFT_PAYLOAD_NETWORK_HEADER, offset, length: 4 },
        Expression::Mask(subnet.mask().octets().to_vec()),
        Expression::Is(subnet.network().octets().to_vec()),
    ]
}

fn name(interface: &str) -> Vec<u8> {
    let mut bytes = interface.as_bytes().to_vec();
    bytes.resize(IFNAMSIZ, 0);
    bytes
}

fn named(element: &mut Attributes<'_>, name: &str, data: impl FnOnce(&mut Attributes<'_>)) {
    element.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, data);
}

fn compare(element: &mut Attributes<'_>, operator: i32, value: &[u8]) {
    named(element, "cmp", |a| {
        a.be32(NFTA_CMP_SREG, FIRST)
            .be32(NFTA_CMP_OP, operator.cast_unsigned())
            .nest(NFTA_CMP_DATA, |data| _ = data.put(NFTA_DATA_VALUE, value));
    });
}

fn load(element: &mut Attributes<'_>, register: u32, value: &[u8]) {
    named(element, "immediate", |a| {
        a.be32(NFTA_IMMEDIATE_DREG, register).nest(NFTA_IMMEDIATE_DATA, |data| _ = data.put(NFTA_DATA_VALUE, value));
    });
}

fn verdict(element: &mut Attributes<'_>, code: i32, chain: Option<&str>) {
    named(element, "immediate", |a| {
        a.be32(NFTA_IMMEDIATE_DREG, VERDICT).nest(NFTA_IMMEDIATE_DATA, |data| {
            data.nest(NFTA_DATA_VERDICT, |verdict| {
                verdict.be32(NFTA_VERDICT_CODE, code.cast_unsigned());
                if let Some(chain) = chain {
                    verdict.text(NFTA_VERDICT_CHAIN, chain);
                }
            });
        });
    });
}
