use std::{fs, thread};

use super::{Cgroup, PAUSE, failed};
use crate::Result;

/// How often those are killed that were forked meanwhile.
const ROUNDS: u32 = 1000;

impl Cgroup {
    /// The ids on the host of the processes that are in it.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        let Some(group) = self.groups.first() else { return Ok(Vec::new()) };
        let path = group.path.join("cgroup.procs");
        let listed = fs::read_to_string(&path).map_err(failed("read", &path))?;
        Ok(listed.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Kills all processes that are in it, and returns when none is.
    pub(crate) fn kill(&self) {
        // Linux 5.14 does it at once, on version 2 (cgroup-v2.rst, cgroup.kill).
        let at_once = |group: &super::Group| fs::write(group.path.join("cgroup.kill"), "1").is_ok();
        let killed = self.groups.first().is_some_and(at_once);
        for _ in 0..ROUNDS {
            match self.processes() {
                Ok(pids) if !pids.is_empty() => {
                    if !killed {
                        pids.iter().for_each(|&pid| kill(pid));
                    }
                }
                // It is empty, or gone.
                _ => return,
            }
            thread::sleep(PAUSE);
        }
        tracing::warn!("processes of a container do not end");
    }
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // It may have ended meanwhile. No other process gets its id so soon: ids are given out in a circle.
    let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
}
