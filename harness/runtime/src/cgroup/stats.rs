use std::{path::Path, time::Duration};

use super::{
    Cgroup,
    hierarchy::{Controller, Hierarchy},
};
use crate::Result;

/// What the processes of a container have used, as far as its cgroup counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// The memory now, in bytes, with the page cache and the kernel's structures charged to them.
    pub memory: Option<u64>,
    /// The most memory at a time, in bytes, with the page cache charged to them.
    pub memory_peak: Option<u64>,
    /// Processor time of all together.
    pub cpu_time: Option<Duration>,
    /// How often the kernel has killed one for want of memory.
    pub oom_kills: Option<u64>,
}

pub(super) fn read(cgroup: &Cgroup) -> Result<Stats> {
    // A file may be missing, as memory.peak before Linux 5.19: then its figure is.
    let number = |controller, file: &str| -> Option<u64> {
        let text = std::fs::read_to_string(cgroup.directory(controller)?.join(file)).ok()?;
        text.trim().parse().ok()
    };
    let field = |controller, file: &str, key: &str| -> Option<u64> { keyed(cgroup.directory(controller)?, file, key) };
    Ok(match cgroup.hierarchy {
        Hierarchy::One => Stats {
            memory: number(Controller::Memory, "memory.usage_in_bytes"),
            memory_peak: number(Controller::Memory, "memory.max_usage_in_bytes"),
            cpu_time: number(Controller::CpuAccounting, "cpuacct.usage").map(Duration::from_nanos),
            oom_kills: field(Controller::Memory, "memory.oom_control", "oom_kill"),
        },
        Hierarchy::Two => Stats {
            memory: number(Controller::Memory, "memory.current"),
            memory_peak: number(Controller::Memory, "memory.peak"),
            cpu_time: field(Controller::Cpu, "cpu.stat", "usage_usec").map(Duration::from_micros),
            oom_kills: field(Controller::Memory, "memory.events", "oom_kill"),
        },
    })
}

/// The value of `key` in a file of lines with a key and a value.
fn keyed(directory: &Path, file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(directory.join(file)).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.into_iter().find(|(name, _)| *name == key)?.1.trim().parse().ok()
}
