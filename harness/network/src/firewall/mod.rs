//! The bridge's rules in nftables: a table of its own, which is made whole or not at all.

mod expression;
mod rules;
mod table;

use std::io;

use rustix::net::netlink::NETFILTER;

use self::table::{Step, begin, end};
use crate::{Error, Result, netlink::Socket};

pub(crate) use self::rules::Rules;

/// What is asked of nftables, in the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Firewall {
    socket: Socket,
}

impl Firewall {
    pub fn open() -> Result<Self> {
        Socket::open(Some(NETFILTER)).map(|socket| Self { socket }).map_err(|error| match error.raw_os_error() {
            Some(libc::EPROTONOSUPPORT) => missing("nftables (CONFIG_NETFILTER_NETLINK)", "nfnetlink"),
            _ => Error::kernel("open a netlink socket for nftables")(error),
        })
    }

    /// Makes the table as `rules` say, also in place of an older one.
    pub fn install(&self, rules: &Rules<'_>) -> Result<()> {
        self.run(rules.whole(), &format!("make the nftables table {}", rules.table))
    }

    /// Makes the published ports what `rules` say, in a table that is there.
    pub fn publish(&self, rules: &Rules<'_>) -> Result<()> {
        self.run(rules.published(), &format!("publish ports in the nftables table {}", rules.table))
    }

    /// Whether there is such a table.
    pub fn exists(&self, table: &str) -> Result<bool> {
        match self.socket.get(table::get_table(table)) {
            Ok(_) => Ok(true),
            // Without nf_tables nobody knows the request.
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(Error::kernel(format!("look for the nftables table {table}"))(error)),
        }
    }

    /// Removes the table and all in it.
    pub fn remove(&self, table: &str) -> Result<()> {
        match self.socket.batch(begin(), vec![table::delete_table(table)], end()) {
            Err(refused) if !is_absent(&refused.source) => {
                Err(Error::kernel(format!("remove the nftables table {table}"))(refused.source))
            }
            _ => Ok(()),
        }
    }

    fn run(&self, steps: Vec<Step>, action: &str) -> Result<()> {
        let (messages, needs): (Vec<_>, Vec<_>) = steps.into_iter().map(|step| (step.message, step.needs)).unzip();
        self.socket.batch(begin(), messages, end()).map_err(|refused| {
            let needs = refused.index.map_or(table::NF_TABLES, |index| needs[index]);
            match refused.source.raw_os_error() {
                Some(libc::ENOENT | libc::EOPNOTSUPP) => missing(needs.feature, needs.module),
                Some(libc::EINVAL) if refused.index.is_none() => missing(needs.feature, needs.module),
                _ => Error::kernel(action)(refused.source),
            }
        })
    }
}

fn missing(feature: &'static str, module: &'static str) -> Error {
    Error::Missing { what: "a way out of the bridge, or publishing ports,", feature, module }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EINVAL))
}
