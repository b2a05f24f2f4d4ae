use std::path::Path;

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPids, Spec};

use super::{
    Cgroup, failed,
    hierarchy::{Controller, Hierarchy},
};
use crate::{Error, Result};

/// The kernel's default for the period of cpu bandwidth control, in microseconds.
const PERIOD_US: u64 = 100_000;

/// Limits of `linux.resources`, as far as they are set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    memory: Option<u64>,
    /// Memory and swap together, as in the specification.
    memory_and_swap: Option<u64>,
    /// Microseconds of cpu time in each period.
    cpu: Option<(u64, u64)>,
    pids: Option<u64>,
}

impl Limits {
    pub(super) fn of(spec: &Spec) -> Result<Self> {
        let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
        let Some(resources) = resources else { return Ok(Self::default()) };
        // -1 is the specification's word for no limit.
        let limited = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|&value| value > 0);
        let memory = resources.memory().as_ref();
        let cpu = resources.cpu().as_ref();
        let limits = Self {
            memory: limited(memory.and_then(LinuxMemory::limit)),
            memory_and_swap: limited(memory.and_then(LinuxMemory::swap)),
            cpu: limited(cpu.and_then(LinuxCpu::quota))
                .map(|quota| (quota, cpu.and_then(LinuxCpu::period).unwrap_or(PERIOD_US))),
            pids: limited(resources.pids().as_ref().map(LinuxPids::limit)),
        };
        match (limits.memory, limits.memory_and_swap) {
            (None, Some(_)) => Err(Error::invalid("linux.resources.memory.swap", "it needs a limit of memory too")),
            (Some(memory), Some(both)) if both < memory => Err(Error::invalid(
                "linux.resources.memory.swap",
                "it counts memory too, so it cannot be below its limit",
            )),
            _ => Ok(limits),
        }
    }

    pub(super) fn controllers(&self) -> Vec<Controller> {
        let mut controllers = Vec::new();
        controllers.extend(self.memory.map(|_| Controller::Memory));
        controllers.extend(self.cpu.map(|_| Controller::Cpu));
        controllers.extend(self.pids.map(|_| Controller::Pids));
        controllers
    }

    /// Writes the limits to the files of `cgroup`.
    pub(super) fn write(&self, cgroup: &Cgroup) -> Result<()> {
        let write = |controller, file: &str, value: String| {
            cgroup.directory(controller).map_or(Ok(()), |directory| write(directory, file, &value))
        };
        match cgroup.hierarchy {
            Hierarchy::One => {
                if let Some(memory) = self.memory {
                    write(Controller::Memory, "memory.limit_in_bytes", memory.to_string())?;
                }
                if let Some(both) = self.memory_and_swap {
                    // There without CONFIG_SWAP, or with swapaccount=0, is no such file and nothing to swap to.
                    let has = cgroup.directory(Controller::Memory).is_some_and(|d| d.join(MEMSW).exists());
                    if has {
                        write(Controller::Memory, MEMSW, both.to_string())?;
                    }
                }
                if let Some((quota, period)) = self.cpu {
                    write(Controller::Cpu, "cpu.cfs_period_us", period.to_string())?;
                    write(Controller::Cpu, "cpu.cfs_quota_us", quota.to_string())?;
                }
            }
            Hierarchy::Two => {
                if let Some(memory) = self.memory {
                    write(Controller::Memory, "memory.max", memory.to_string())?;
                    if let Some(both) = self.memory_and_swap
                        && cgroup.directory(Controller::Memory).is_some_and(|d| d.join("memory.swap.max").exists())
                    {
                        write(Controller::Memory, "memory.swap.max", (both - memory).to_string())?;
                    }
                }
                if let Some((quota, period)) = self.cpu {
                    write(Controller::Cpu, "cpu.max", format!("{quota} {period}"))?;
                }
            }
        }
        if let Some(pids) = self.pids {
            write(Controller::Pids, "pids.max", pids.to_string())?;
        }
        Ok(())
    }
}

const MEMSW: &str = "memory.memsw.limit_in_bytes";

fn write(directory: &Path, file: &str, value: &str) -> Result<()> {
    let path = directory.join(file);
    std::fs::write(&path, value).map_err(failed("write", &path))
}
