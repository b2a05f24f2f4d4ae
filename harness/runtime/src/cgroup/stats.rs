use std::{path::Path, time::Duration};

use super::{
    Cgroup,
    hierarchy::{Controller, Hierarchy},
};
use crate::Result;

/// What version 1 has for no limit of memory: the largest number of whole pages, whatever a page's size up to 64 KiB.
const NO_MEMORY_LIMIT: u64 = i64::MAX as u64 & !0xffff;

/// What the processes of a container have used, as far as its cgroup counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// The memory now, in bytes, with the page cache and the kernel's structures charged to them.
    pub memory: Option<u64>,
    /// How many bytes of it are cached files that were not used lately; `docker stats` subtracts them.
    pub memory_inactive_file: Option<u64>,
    /// The most memory at a time, in bytes, with the page cache charged to them.
    pub memory_peak: Option<u64>,
    /// The limit of memory in bytes, if there is one.
    pub memory_limit: Option<u64>,
    /// Processor time of all together.
    pub cpu_time: Option<Duration>,
    /// How much of it was in programs.
    pub cpu_user: Option<Duration>,
    /// How much of it was in the kernel.
    pub cpu_system: Option<Duration>,
    /// How the limit of processor time held them up, if there is one.
    pub throttling: Option<Throttling>,
    /// How often the kernel has killed one for want of memory.
    pub oom_kills: Option<u64>,
    /// How many processes and threads there are.
    pub pids: Option<u64>,
    /// The limit of that number, if there is one.
    pub pids_limit: Option<u64>,
    /// Bytes that were read from block devices.
    pub block_read: Option<u64>,
    /// Bytes that were written to block devices.
    pub block_written: Option<u64>,
}

/// How a limit of processor time was felt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which there was something to run.
    pub periods: u64,
    /// Periods in which the limit was reached.
    pub throttled_periods: u64,
    /// How long processes were held up, all together.
    pub throttled_time: Duration,
}

pub(super) fn read(cgroup: &Cgroup) -> Result<Stats> {
    // A file may be missing, as memory.peak before Linux 5.19: then its figure is.
    let text = |controller, file: &str| -> Option<String> {
        std::fs::read_to_string(cgroup.directory(controller)?.join(file)).ok()
    };
    let number = |controller, file: &str| -> Option<u64> { text(controller, file)?.trim().parse().ok() };
    let field = |controller, file: &str, key: &str| -> Option<u64> { keyed(cgroup.directory(controller)?, file, key) };
    let throttling = |key: &str, unit: fn(u64) -> Duration| -> Option<Throttling> {
        let field = |key: &str| field(Controller::Cpu, "cpu.stat", key);
        Some(Throttling {
            periods: field("nr_periods")?,
            throttled_periods: field("nr_throttled")?,
            throttled_time: unit(field(key)?),
        })
    };
    let stats = match cgroup.hierarchy {
        Hierarchy::One => {
            let nanos = |file: &str| number(Controller::CpuAccounting, file).map(Duration::from_nanos);
            let blocks = text(Controller::BlockIo, "blkio.throttle.io_service_bytes_recursive");
            let limit = number(Controller::Memory, "memory.limit_in_bytes");
            Stats {
                memory: number(Controller::Memory, "memory.usage_in_bytes"),
                memory_inactive_file: field(Controller::Memory, "memory.stat", "total_inactive_file"),
                memory_peak: number(Controller::Memory, "memory.max_usage_in_bytes"),
                memory_limit: limit.filter(|&limit| limit < NO_MEMORY_LIMIT),
                cpu_time: nanos("cpuacct.usage"),
                cpu_user: nanos("cpuacct.usage_user"),
                cpu_system: nanos("cpuacct.usage_sys"),
                throttling: throttling("throttled_time", Duration::from_nanos),
                oom_kills: field(Controller::Memory, "memory.oom_control", "oom_kill"),
                block_read: blocks.as_deref().map(|text| sum(text, "Read", ' ')),
                block_written: blocks.as_deref().map(|text| sum(text, "Write", ' ')),
                ..Stats::default()
            }
        }
        Hierarchy::Two => {
            let micros = |key: &str| field(Controller::Cpu, "cpu.stat", key).map(Duration::from_micros);
            let blocks = text(Controller::BlockIo, "io.stat");
            Stats {
                memory: number(Controller::Memory, "memory.current"),
                memory_inactive_file: field(Controller::Memory, "memory.stat", "inactive_file"),
                memory_peak: number(Controller::Memory, "memory.peak"),
                memory_limit: number(Controller::Memory, "memory.max"),
                cpu_time: micros("usage_usec"),
                cpu_user: micros("user_usec"),
                cpu_system: micros("system_usec"),
                throttling: throttling("throttled_usec", Duration::from_micros),
                oom_kills: field(Controller::Memory, "memory.events", "oom_kill"),
                block_read: blocks.as_deref().map(|text| sum(text, "rbytes", '=')),
                block_written: blocks.as_deref().map(|text| sum(text, "wbytes", '=')),
                ..Stats::default()
            }
        }
    };
    let (pids, pids_limit) = (number(Controller::Pids, "pids.current"), number(Controller::Pids, "pids.max"));

    Ok(Stats { pids, pids_limit, ..stats })
}

/// The value of `key` in a file of lines with a key and a value.
fn keyed(directory: &Path, file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(directory.join(file)).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.into_iter().find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// The values of `key` added up over the devices, of which each has lines or words of its own.
fn sum(text: &str, key: &str, separator: char) -> u64 {
    let value = |start: usize| text[start..].strip_prefix(separator)?.split_whitespace().next()?.parse::<u64>().ok();
    text.match_indices(key).filter_map(|(at, _)| value(at + key.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_io_is_added_up_over_the_devices() {
        let one = "254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 12288\n8:0 Read 1\n254:0 Total 12288\nTotal 12289\n";
        assert_eq!((sum(one, "Read", ' '), sum(one, "Write", ' ')), (4097, 8192));
        let two = "254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n8:0 rbytes=1 wbytes=2 rios=1\n";
        assert_eq!((sum(two, "rbytes", '='), sum(two, "wbytes", '=')), (4097, 2));
        assert_eq!(sum("", "Read", ' '), 0);
    }
}
