//! Who runs a container: this runtime, and those that it is held against.

use harness_runtime::{Container, ExternalRuntime, Launch, Result};

/// A runtime under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Ours,
    Runc,
    Crun,
}

impl Engine {
    pub const ALL: [Self; 3] = [Self::Ours, Self::Runc, Self::Crun];

    pub fn start(self, launch: Launch) -> Result<Container> {
        match self {
            Self::Ours => launch.start(),
            Self::Runc => ExternalRuntime::new("runc")?.start(launch),
            Self::Crun => crun()?.start(launch),
        }
    }
}

/// On a host where version 2 of cgroups has controllers beside those of version 1 crun wants not to see that.
fn crun() -> Result<ExternalRuntime> {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers").unwrap_or_default();
    let crun = ExternalRuntime::new("crun")?;
    if controllers.trim().is_empty() {
        return Ok(crun);
    }
    let script = "umount /sys/fs/cgroup/unified; exec crun \"$@\"";
    Ok(ExternalRuntime::new("unshare")?.with_arguments(["--mount", "sh", "-c", script, "crun"]))
}
