//! Messages of nftables: batches, tables, chains and rules. Numbers are those of linux/netfilter/nf_tables.h.

use super::expression::Expression;
use crate::netlink::Message;

const INET: u8 = libc::AF_INET as u8;
const SUBSYSTEM: u16 = libc::NFNL_SUBSYS_NFTABLES as u16;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_LIST_ELEM: u16 = 1;

/// One message of a batch, and what the kernel must have for it.
#[derive(Debug)]
pub(super) struct Step {
    pub message: Message,
    pub needs: Needs,
}

/// A part of the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    pub feature: &'static str,
    pub module: &'static str,
}

pub(super) const NF_TABLES: Needs = Needs { feature: "nftables (CONFIG_NF_TABLES_IPV4)", module: "nf_tables" };
const NAT_CHAIN: Needs =
    Needs { feature: "chains of nftables that translate (CONFIG_NFT_NAT)", module: "nft_chain_nat" };

/// Where a chain gets packets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    pub kind: &'static str,
    pub number: i32,
    pub priority: i32,
}

pub(super) fn begin() -> Message {
    Message::new(libc::NFNL_MSG_BATCH_BEGIN as u16, 0, &nfgenmsg(libc::AF_UNSPEC as u8, SUBSYSTEM))
}

pub(super) fn end() -> Message {
    Message::new(libc::NFNL_MSG_BATCH_END as u16, 0, &nfgenmsg(libc::AF_UNSPEC as u8, SUBSYSTEM))
}

pub(super) fn get_table(table: &str) -> Message {
    message(libc::NFT_MSG_GETTABLE, 0).with(|a| _ = a.text(NFTA_TABLE_NAME, table))
}

pub(super) fn delete_table(table: &str) -> Message {
    message(libc::NFT_MSG_DELTABLE, 0).with(|a| _ = a.text(NFTA_TABLE_NAME, table))
}

/// A table, empty, whatever was in one of that name.
pub(super) fn fresh_table(table: &str) -> Vec<Step> {
    let new = || message(libc::NFT_MSG_NEWTABLE, libc::NLM_F_CREATE).with(|a| _ = a.text(NFTA_TABLE_NAME, table));
    // One can be deleted only where one is; there is no "delete if there is" before Linux 6.3.
    let messages = [new(), delete_table(table), new()];
    messages.into_iter().map(|message| Step { message, needs: NF_TABLES }).collect()
}

pub(super) fn new_chain(table: &str, chain: &str, hook: Option<Hook>) -> Step {
    let message = message(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE).with(|a| {
        a.text(NFTA_CHAIN_TABLE, table).text(NFTA_CHAIN_NAME, chain);
        if let Some(hook) = hook {
            a.nest(NFTA_CHAIN_HOOK, |inner| {
                inner
                    .be32(NFTA_HOOK_HOOKNUM, hook.number.cast_unsigned())
                    .be32(NFTA_HOOK_PRIORITY, hook.priority.cast_unsigned());
            });
            a.text(NFTA_CHAIN_TYPE, hook.kind);
        }
    });
    Step { message, needs: if hook.is_some_and(|hook| hook.kind == "nat") { NAT_CHAIN } else { NF_TABLES } }
}

/// Removes all rules of a chain.
pub(super) fn flush_chain(table: &str, chain: &str) -> Step {
    let message =
        message(libc::NFT_MSG_DELRULE, 0).with(|a| _ = a.text(NFTA_RULE_TABLE, table).text(NFTA_RULE_CHAIN, chain));
    Step { message, needs: NF_TABLES }
}

/// A rule at the end of a chain.
pub(super) fn new_rule(table: &str, chain: &str, expressions: &[Expression<'_>], needs: Needs) -> Step {
    let message = message(libc::NFT_MSG_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND).with(|a| {
        a.text(NFTA_RULE_TABLE, table).text(NFTA_RULE_CHAIN, chain).nest(NFTA_RULE_EXPRESSIONS, |list| {
            for expression in expressions {
                expression.loads(list, NFTA_LIST_ELEM);
                list.nest(NFTA_LIST_ELEM, |element| expression.put(element));
            }
        });
    });
    Step { message, needs }
}

fn message(kind: i32, flags: i32) -> Message {
    Message::new(SUBSYSTEM << 8 | kind as u16, flags, &nfgenmsg(INET, 0))
}

/// `struct nfgenmsg`: family, version, and the subsystem of a batch.
fn nfgenmsg(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, libc::NFNETLINK_V0 as u8, high, low]
}
