mod row;

use std::{
    io::{IsTerminal, stdout},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use harness_container::{Network, Record, Status};
use harness_runtime::Stats;

use self::row::{HEADERS, Row, TABLE};
use super::exec::running;
use crate::{
    cli::Common,
    commands::{format::List, print},
    containers::Site,
    failure::Result,
    place::Place,
};

/// Between two looks; processor use is what was used meanwhile.
const BETWEEN: Duration = Duration::from_secs(1);

/// Show what running containers use
#[derive(Debug, Args)]
pub struct StatsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Show all containers, also those that do not run
    #[arg(long, short, conflicts_with = "containers")]
    all: bool,
    /// Show it once, instead of again and again until Ctrl-C
    #[arg(long)]
    no_stream: bool,
    /// Print ids in full
    #[arg(long)]
    no_trunc: bool,
    /// How to print: table, json (one object a line), or a template such as '{{.Name}}: {{.CPUPerc}}'
    #[arg(long, default_value = "table", hide_default_value = true, value_name = "FORMAT")]
    format: String,
    /// Containers, by name or id [default: all that run]
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &StatsArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let mut before = look(&site, args)?;
    loop {
        let asked = Instant::now();
        thread::sleep(BETWEEN);
        let now = look(&site, args)?;
        show(args, &before, &now, asked.elapsed())?;
        if args.no_stream {
            return Ok(());
        }
        before = now;
    }
}

/// What one container has used until now.
struct Used {
    /// As it was asked for.
    name: String,
    record: Record,
    /// None for one without a cgroup.
    stats: Option<Stats>,
    net: Option<Traffic>,
}

/// Bytes that went over a container's interfaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Traffic {
    received: u64,
    sent: u64,
}

fn look(site: &Site, args: &StatsArgs) -> Result<Vec<Used>> {
    if !args.containers.is_empty() {
        return args.containers.iter().map(|name| used(site, name, site.find(name)?)).collect();
    }
    let mut found = Vec::new();
    for (record, status) in site.containers.list()? {
        let name = record.short_id().to_owned();
        if matches!(status, Status::Running | Status::Paused) {
            // One that ends meanwhile is not there any more.
            found.extend(used(site, &name, record).ok());
        } else if args.all {
            found.push(Used { name, record, stats: None, net: None });
        }
    }
    Ok(found)
}

fn used(site: &Site, name: &str, record: Record) -> Result<Used> {
    let running = running(site, &record)?;
    // The host's traffic is not the container's.
    let net = match record.configuration.network {
        Network::Host => Some(Traffic::default()),
        _ => Traffic::of(running.pid()),
    };
    Ok(Used { name: name.to_owned(), stats: running.stats()?, net, record })
}

impl Traffic {
    /// Of the network namespace of a process.
    fn of(pid: u32) -> Option<Self> {
        std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok().map(|text| Self::read(&text))
    }

    /// All interfaces of proc_pid_net(5)'s `dev` but the loopback one, as docker counts.
    fn read(text: &str) -> Self {
        let interfaces = text.lines().filter_map(|line| line.split_once(':'));
        interfaces.filter(|(name, _)| name.trim() != "lo").fold(Self::default(), |all, (_, counters)| {
            let counter = |at: usize| counters.split_whitespace().nth(at)?.parse::<u64>().ok();
            Self {
                received: all.received + counter(0).unwrap_or_default(),
                sent: all.sent + counter(8).unwrap_or_default(),
            }
        })
    }
}

fn show(args: &StatsArgs, before: &[Used], now: &[Used], meanwhile: Duration) -> Result {
    let of = |id: &str| before.iter().find(|used| used.record.id == id).and_then(|used| used.stats);
    let rows: Vec<_> = now.iter().map(|used| Row::of(used, of(&used.record.id), meanwhile).fields(args)).collect();
    let text = List { format: &args.format, table: TABLE, headers: &HEADERS }.text(&rows)?;
    // On a terminal each look takes the place of the one before.
    let is_table = args.format.trim_start().starts_with("table");
    let clear = if is_table && stdout().is_terminal() && !args.no_stream { "\x1b[2J\x1b[H" } else { "" };
    print(&format!("{clear}{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_that_of_all_interfaces_but_the_loopback() {
        let text = "Inter-|   Receive                |  Transmit\n face |bytes    packets errs drop fifo frame compressed \
                    multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:     100       1    0    0 \
                    0     0          0         0      100       1    0    0    0     0       0          0\n  eth0: 1000       \
                    9    0    0    0     0          0         0     200       3    0    0    0     0       0          0\n\
                    eth1:7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n";
        assert_eq!(Traffic::read(text), Traffic { received: 1007, sent: 208 });
        assert_eq!(Traffic::read("eth0: x\n"), Traffic::default());
    }
}
