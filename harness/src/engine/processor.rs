//! What this process takes of the machine.

use std::{io, sync::OnceLock, time::Duration};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use storage_sys::syscalls::SyscallCounter;
use workloads::Processor;

use crate::say;

static SYSCALLS: OnceLock<Option<SyscallCounter>> = OnceLock::new();

/// Counts this thread's system calls from now on, and those of the threads that come from it, where the kernel lets us.
pub fn count_syscalls() {
    SYSCALLS.get_or_init(|| {
        SyscallCounter::start()
            .inspect_err(|error| say(&format!("system calls are not counted: perf_event_open: {error}")))
            .ok()
    });
}

/// Time of this process and its ended children, see getrusage(2), and this process's system calls, so far.
pub fn taken() -> io::Result<Processor> {
    let of = |who| -> io::Result<Usage> { Ok(getrusage(who)?) };
    let (own, children) = (of(UsageWho::RUSAGE_SELF)?, of(UsageWho::RUSAGE_CHILDREN)?);
    let times = [own.user_time(), own.system_time(), children.user_time(), children.system_time()];
    let syscalls = SYSCALLS.get().and_then(Option::as_ref).map(SyscallCounter::count).transpose()?;
    Ok(Processor { cpu: times.into_iter().map(duration).sum(), syscalls })
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
