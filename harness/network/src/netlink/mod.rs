//! Messages of netlink(7) and their exchange with the kernel.
//!
//! Rtnetlink and nfnetlink differ in what the messages hold, not in how they are put together, so one small encoder serves
//! both; of the crates for it those for rtnetlink do not know nftables, and the other way round.

mod message;
mod reply;
mod socket;

pub(crate) use message::{Attributes, Message};
pub(crate) use reply::Reply;
pub(crate) use socket::Socket;

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Length of `struct nlattr`.
const ATTRIBUTE: usize = 4;

/// Messages and attributes begin at multiples of four bytes.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}
