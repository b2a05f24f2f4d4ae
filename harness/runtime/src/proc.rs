//! What `/proc` says about processes of the host.

use std::{
    io,
    time::{Duration, SystemTime},
};

use rustix::time::{ClockId, clock_gettime};

/// Part of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: u32,
    /// The controlling terminal's device number, 0 for none.
    pub(crate) terminal: u32,
    /// Processor time, in ticks.
    pub(crate) cpu_ticks: u64,
    /// When it was started: ticks since the machine was. With the id it names a process once and for all.
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Reads that of the process `pid`, `None` if there is none.
    pub(crate) fn read(pid: u32) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(text) => Self::parse(&text).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into()),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it has ended, even if nobody has waited for it yet.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    fn parse(text: &str) -> Option<Self> {
        // The name, in brackets, may hold anything; see proc_pid_stat(5).
        let mut fields = text.rsplit_once(") ")?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let numbers: Vec<i64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
        // The first of these is the file's fourth.
        let number = |field: usize| numbers.get(field - 4).copied().map(i64::cast_unsigned);
        Some(Self {
            state,
            parent: u32::try_from(number(4)?).ok()?,
            terminal: u32::try_from(number(7)? & 0xffff_ffff).ok()?,
            cpu_ticks: number(14)? + number(15)?,
            start_ticks: number(22)?,
        })
    }
}

/// Whether a file of `/proc/PID` is missing since the process is.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Ticks as time.
pub(crate) fn duration(ticks: u64) -> Duration {
    let second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs(ticks / second) + Duration::from_secs(ticks % second) / u32::try_from(second).unwrap_or(100)
}

/// When the machine was started, by today's clock.
pub(crate) fn boot_time() -> SystemTime {
    let up = clock_gettime(ClockId::Boottime);
    let up = Duration::new(up.tv_sec.unsigned_abs(), u32::try_from(up.tv_nsec).unwrap_or(0));
    SystemTime::now().checked_sub(up).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Names this run of the machine: process ids and start times mean nothing in another.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_confuse() {
        let text = "17 (a) R 1 (b) S 12 17 17 34816 -1 4194304 103 0 0 0 3 4 0 0 20 0 1 0 5678 2703360 202";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat, Stat { state: 'S', parent: 12, terminal: 34816, cpu_ticks: 7, start_ticks: 5678 });
        assert_eq!(Stat::parse("17 (short) S 12"), None);
    }

    #[test]
    fn this_process_is_found() {
        let own = Stat::read(std::process::id()).unwrap().unwrap();
        assert!(!own.has_ended() && own.start_ticks > 0);
        let age = SystemTime::now().duration_since(boot_time() + duration(own.start_ticks)).unwrap();
        assert!(age < Duration::from_secs(600), "{age:?}");
        assert_eq!(Stat::read(u32::MAX).unwrap(), None);
    }
}
