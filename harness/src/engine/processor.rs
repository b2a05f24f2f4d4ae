//! What this process takes of the machine.

use std::{io, time::Duration};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use workloads::Processor;

/// This process and its ended children, so far; see getrusage(2).
pub fn taken() -> io::Result<Processor> {
    let of = |who| -> io::Result<Usage> { Ok(getrusage(who)?) };
    let (own, children) = (of(UsageWho::RUSAGE_SELF)?, of(UsageWho::RUSAGE_CHILDREN)?);
    let times = [own.user_time(), own.system_time(), children.user_time(), children.system_time()];
    Ok(Processor { cpu: times.into_iter().map(duration).sum(), syscalls: None })
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Makes the kernel forget page cache, dentries and inodes that are clean; see proc_sys_vm(5). Only the initial
/// user namespace's root may.
pub fn drop_caches() -> bool {
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
