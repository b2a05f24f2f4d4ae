//! How many system calls this process makes: a counter on the tracepoint `raw_syscalls:sys_enter` (perf_event_open(2)).
#![allow(unsafe_code)]

use std::{
    fs::File,
    io::{self, Read},
    mem::size_of,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, openat},
    mount::MountAttrFlags,
};

use crate::mount::FsContext;

/// `struct perf_event_attr` (linux/perf_event.h), as it was first (`PERF_ATTR_SIZE_VER0`); what came later is zero.
#[derive(Debug, Default)]
#[repr(C)]
struct EventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

const PERF_TYPE_TRACEPOINT: u32 = 2;
const FLAG_INHERIT: u64 = 1 << 1;
/// Threads inherit the counter, and processes do not (since Linux 5.13).
const FLAG_INHERIT_THREAD: u64 = 1 << 35;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
/// `_IOW('$', 6, char *)`.
const PERF_EVENT_IOC_SET_FILTER: libc::c_ulong = 0x4008_2406;

/// How often a program waits, looks at the clock or asks for memory depends on its threads' timing and not on its work.
const NOT_WORK: &[libc::c_long] = &[
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_ppoll,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
];

/// Counts the system calls of the thread that makes it and of all threads that come from it, but for those that only wait, look
/// at the clock or manage memory.
#[derive(Debug)]
pub struct SyscallCounter {
    event: File,
}

impl SyscallCounter {
    /// Starts counting.
    ///
    /// # Errors
    /// `EACCES` or `EPERM` without `CAP_PERFMON` or `CAP_SYS_ADMIN`; `ENODEV` and `ENOENT` where the kernel has no tracefs or not
    /// this tracepoint (CONFIG_FTRACE_SYSCALLS); `EINVAL` before Linux 5.13.
    pub fn start() -> io::Result<Self> {
        let attr = EventAttr {
            kind: PERF_TYPE_TRACEPOINT,
            size: size_of::<EventAttr>() as u32,
            config: tracepoint()?,
            flags: FLAG_INHERIT | FLAG_INHERIT_THREAD,
            ..EventAttr::default()
        };
        const THIS_THREAD: libc::pid_t = 0;
        const ANY_PROCESSOR: libc::c_int = -1;
        const NO_GROUP: libc::c_int = -1;
        // SAFETY: attr is a perf_event_attr of the size that it says, which the kernel only reads.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attr,
                THIS_THREAD,
                ANY_PROCESSOR,
                NO_GROUP,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave this descriptor to nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        count_only_work(&event)?;
        Ok(Self { event: event.into() })
    }

    /// How many there were so far.
    ///
    /// # Errors
    /// read(2)'s.
    pub fn count(&self) -> io::Result<u64> {
        let mut count = [0; size_of::<u64>()];
        (&self.event).read_exact(&mut count)?;
        Ok(u64::from_ne_bytes(count))
    }
}

fn count_only_work(event: &OwnedFd) -> io::Result<()> {
    let filter: Vec<String> = NOT_WORK.iter().map(|number| format!("id != {number}")).collect();
    let filter = std::ffi::CString::new(filter.join(" && "))?;
    // SAFETY: the filter is a string that ends in zero and outlives the call.
    let done = unsafe { libc::ioctl(event.as_raw_fd(), PERF_EVENT_IOC_SET_FILTER, filter.as_ptr()) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The number of `raw_syscalls:sys_enter` in this kernel, from a tracefs of our own that is mounted nowhere.
fn tracepoint() -> io::Result<u64> {
    let tracefs = FsContext::new("tracefs")?.detached(MountAttrFlags::empty()).map_err(io::Error::other)?;
    let id =
        openat(tracefs.as_fd(), "events/raw_syscalls/sys_enter/id", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let text = io::read_to_string(File::from(id))?;
    text.trim().parse().map_err(|_| io::Error::other(format!("tracefs names the tracepoint {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_has_the_kernels_size() {
        assert_eq!(size_of::<EventAttr>(), 64);
    }

    #[test]
    fn privileged_calls_of_threads_are_counted_and_waiting_is_not() {
        let counter = SyscallCounter::start().unwrap();
        let calls = |times: usize| {
            for _ in 0..times {
                let _ = rustix::process::getppid();
            }
        };
        let before = counter.count().unwrap();
        calls(1000);
        std::thread::scope(|scope| scope.spawn(|| calls(500)).join().unwrap());
        let counted = counter.count().unwrap() - before;
        // Starting a thread takes some of its own.
        assert!((1500..1600).contains(&counted), "{counted}");
        let before = counter.count().unwrap();
        (0..100).for_each(|_| std::thread::yield_now());
        // The reading of the counter.
        assert!(counter.count().unwrap() - before <= 2);
    }
}
