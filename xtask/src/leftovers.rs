//! What tests must not leave on a machine.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, bail};

/// Mounts, loop devices, cgroups and temporary directories that are there now.
#[derive(Debug)]
pub struct Leftovers(BTreeSet<String>);

impl Leftovers {
    pub fn find() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
        let mut found: BTreeSet<String> =
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(|point| format!("mount {point}")).collect();
        found.extend(attached_loops());
        for hierarchy in subdirectories(Path::new("/sys/fs/cgroup")) {
            let groups = subdirectories(&Path::new("/sys/fs/cgroup").join(&hierarchy).join("harness"));
            found.extend(groups.into_iter().map(|group| format!("cgroup {hierarchy}/harness/{group}")));
        }
        Ok(Self(found))
    }

    /// Fails when there is more now than before.
    pub fn compare(&self, after: &Self) -> Result<()> {
        let new: Vec<_> = after.0.difference(&self.0).cloned().collect();
        if !new.is_empty() {
            bail!("the checks left behind:\n  {}", new.join("\n  "));
        }
        Ok(())
    }
}

fn attached_loops() -> Vec<String> {
    let devices = subdirectories(Path::new("/sys/block"));
    let backing = |device: &String| {
        let file = fs::read_to_string(format!("/sys/block/{device}/loop/backing_file")).ok()?;
        Some(format!("loop device {device} on {}", file.trim()))
    };
    devices.iter().filter_map(backing).collect()
}

fn subdirectories(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let is_dir = |entry: &fs::DirEntry| entry.path().is_dir();
    entries.flatten().filter(is_dir).filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
