//! The options about limits that `run`, `create` and `update` have.

use clap::Args;
use harness_container::Resources;

use super::bytes;
use crate::failure::{Failure, Result};

/// What can be limited while a container runs, too.
#[derive(Debug, Clone, Args)]
pub struct LimitOptions {
    /// Memory limit, such as 512m
    #[arg(long, short, value_name = "BYTES")]
    memory: Option<String>,
    /// Limit of memory and swap together; -1 for none [default: twice the memory]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// What memory is pushed back to when the host's gets short
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// Weight of its block I/O, 10 to 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(10..=1000))]
    blkio_weight: Option<u16>,
    /// CPU limit in CPUs, such as 1.5
    #[arg(long, value_name = "N")]
    cpus: Option<f64>,
    /// Share of CPU time against other containers'; 1024 is the usual one
    #[arg(long, short, value_name = "N")]
    cpu_shares: Option<u64>,
    /// CPUs to run on, such as 0-3,5
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Most processes; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Length of the period of which --cpu-quota is a part, in microseconds [default: 100000]
    #[arg(long, value_name = "MICROSECONDS", conflicts_with = "cpus", value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    cpu_period: Option<u64>,
    /// CPU time in each period, in microseconds; -1 for no limit
    #[arg(long, value_name = "MICROSECONDS", conflicts_with = "cpus", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
}

impl LimitOptions {
    /// These limits with what the options say.
    pub fn change(&self, limits: &Resources) -> Result<Resources> {
        let memory_swap = match self.memory_swap.as_deref() {
            Some("-1") => Some(i64::MAX as u64),
            other => bytes(other)?,
        };
        let memory = bytes(self.memory.as_deref())?.or(limits.memory);
        if memory.is_none() && memory_swap.is_some() {
            return Err(Failure::usage("--memory-swap needs --memory, too"));
        }
        let pids = self.pids_limit.map(|limit| u64::try_from(limit).ok().filter(|&limit| limit > 0));
        // Each of the two forms of the limit takes the place of the other.
        let in_cpus = self.cpus.is_some();
        let in_periods = self.cpu_quota.is_some() || self.cpu_period.is_some();
        let quota = self.cpu_quota.map(|quota| Some(quota).filter(|&quota| quota > 0));
        Ok(Resources {
            memory,
            memory_swap: memory_swap.or(limits.memory_swap),
            memory_reservation: bytes(self.memory_reservation.as_deref())?.or(limits.memory_reservation),
            blkio_weight: self.blkio_weight.or(limits.blkio_weight),
            cpus: self.cpus.or(limits.cpus.filter(|_| !in_periods)),
            cpu_quota: quota.unwrap_or(limits.cpu_quota.filter(|_| !in_cpus)),
            cpu_period: self.cpu_period.or(limits.cpu_period.filter(|_| !in_cpus)),
            cpu_shares: self.cpu_shares.or(limits.cpu_shares),
            cpuset_cpus: self.cpuset_cpus.clone().or_else(|| limits.cpuset_cpus.clone()),
            cpuset_mems: self.cpuset_mems.clone().or_else(|| limits.cpuset_mems.clone()),
            pids_limit: pids.unwrap_or(limits.pids_limit),
            ..limits.clone()
        })
    }
}
