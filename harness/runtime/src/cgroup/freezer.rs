use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{Cgroup, Controller, Hierarchy, PAUSE, failed};
use crate::{Error, Result};

/// How long processes may take to stop: one in the middle of a system call that cannot be interrupted stops after it.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Stops all processes, or lets them go on, and returns when that is so.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        let directory = self.freezer()?;
        let started = Instant::now();
        loop {
            // On version 1 writing again also catches processes that were forked meanwhile (freezer-subsystem.rst).
            self.write_state(directory, frozen)?;
            if self.is_frozen()? == frozen {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                // Half a container stopped is worse than none.
                let _ = self.write_state(directory, false);
                let why = format!("its processes did not stop within {} s", PATIENCE.as_secs());
                return Err(Error::Freeze { why });
            }
            thread::sleep(PAUSE);
        }
    }

    fn write_state(&self, directory: &Path, frozen: bool) -> Result<()> {
        let (file, value) = match (self.hierarchy, frozen) {
            (Hierarchy::One, true) => ("freezer.state", "FROZEN"),
            (Hierarchy::One, false) => ("freezer.state", "THAWED"),
            (Hierarchy::Two, true) => ("cgroup.freeze", "1"),
            (Hierarchy::Two, false) => ("cgroup.freeze", "0"),
        };
        let path = directory.join(file);
        std::fs::write(&path, value).map_err(failed("write", &path))
    }

    /// Whether all processes are stopped.
    pub(crate) fn is_frozen(&self) -> Result<bool> {
        let Ok(directory) = self.freezer() else { return Ok(false) };
        let read = |file: &str| {
            let path = directory.join(file);
            std::fs::read_to_string(&path).map_err(failed("read", &path))
        };
        Ok(match self.hierarchy {
            Hierarchy::One => read("freezer.state")?.trim() == "FROZEN",
            Hierarchy::Two => read("cgroup.events")?.lines().any(|line| line == "frozen 1"),
        })
    }

    /// Lets processes go on whose end has been asked for: on version 1 a stopped process does not die.
    pub(crate) fn thaw_for_the_end(&self) {
        if let Ok(directory) = self.freezer() {
            // Without it there is nothing to thaw.
            let _ = self.write_state(directory, false);
        }
    }

    fn freezer(&self) -> Result<&Path> {
        self.directory(Controller::Freezer).ok_or_else(|| Error::Freeze {
            why:
                "it has no cgroup that can be stopped; start it with accounting, on a host with the freezer controller"
                    .to_owned(),
        })
    }
}
