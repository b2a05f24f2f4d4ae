//! A file system for each engine, and what engines leave outside theirs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use harness_testbed::{FileSystem, Options, Spec, Testbed};

/// Where `harness gc` looks for testbeds that a crash left.
const BASE: &str = "/var/lib/harness/testbeds";

/// Makes a fresh file system of the kind that the driver wants.
pub fn make(engine: &str, driver: &str) -> Result<Testbed> {
    let file_system = if driver == "btrfs" { FileSystem::Btrfs } else { FileSystem::Ext4 };
    let spec = Spec::Loop { file_system: Some(file_system), size: 24 << 30, quota: false, memory: false };
    let name = format!("peers-{}-{engine}", std::process::id());
    let options = Options { base: BASE.into(), name, keep: false };
    Testbed::open(&spec, &options).with_context(|| format!("no file system for {engine}"))
}

/// Writes back what is dirty on it, so that the next measurement does not pay for the last.
pub fn sync(bed: &Testbed) -> Result<Duration> {
    let start = Instant::now();
    let dir = fs::File::open(bed.path()).with_context(|| format!("cannot open {}", bed.path().display()))?;
    rustix::fs::syncfs(&dir).with_context(|| format!("cannot sync {}", bed.path().display()))?;
    Ok(start.elapsed())
}

/// What there was before: control groups that engines make are taken away at the end.
#[derive(Debug)]
pub struct Guard(BTreeSet<PathBuf>);

impl Guard {
    pub fn new() -> Result<Self> {
        Ok(Self(groups()))
    }

    /// Ends what still runs on the testbeds of this process, and removes the control groups that have come since.
    pub fn clean_up(&self) -> Result<()> {
        end_strays();
        let mut left = Vec::new();
        for group in groups().difference(&self.0) {
            if !remove_group(group) {
                left.push(group.display().to_string());
            }
        }
        if !left.is_empty() {
            println!("These control groups stay, with processes in them: {}", left.join(", "));
        }
        Ok(())
    }
}

/// Groups of the first level, of every hierarchy, which is where engines have theirs. Those of this project's own runs are gone
/// with their containers; containerd calls its group by our namespace there.
fn groups() -> BTreeSet<PathBuf> {
    let dirs = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect()
    };
    let hierarchies = dirs(Path::new("/sys/fs/cgroup"));
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name == "harness");
    hierarchies.iter().flat_map(|path| dirs(path)).filter(|path| !ours(path)).collect()
}

fn remove_group(group: &Path) -> bool {
    let inner = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    inner.filter(|path| path.is_dir()).for_each(|path| _ = remove_group(&path));
    fs::remove_dir(group).is_ok()
}

/// Shims that outlive a daemon, as they are meant to: their command lines name our testbed.
fn end_strays() {
    let mine = format!("harness-peers-{}-", std::process::id());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ended = false;
    for process in processes {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&mine)
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            ended |= rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok();
        }
    }
    if ended {
        thread::sleep(Duration::from_millis(200));
    }
}
