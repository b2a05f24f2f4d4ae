//! Who keeps a device from going.

use std::{fs, path::Path};

use rustix::fs::{major, minor};
use storage_sys::dm::node;

/// Processes that have the device mounted, or open, and devices that stand on it; "nobody that is visible here" if none
/// is found.
pub fn of(dev: u64) -> String {
    let mut found = stacked(dev);
    found.extend(processes(dev));
    if found.is_empty() { "by nobody that is visible from here".to_owned() } else { format!("by {}", found.join(", ")) }
}

fn stacked(dev: u64) -> Vec<String> {
    let dir = format!("/sys/dev/block/{}:{}/holders", major(dev), minor(dev));
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| format!("device {}", entry.file_name().to_string_lossy())).collect()
}

fn processes(dev: u64) -> Vec<String> {
    let number = node::number(dev);
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holds = |path: &Path| {
        let mounts = fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
        mounts.lines().any(|line| line.split(' ').nth(2) == Some(&number)) || has_open(path, dev)
    };
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holders = ids.filter(|id| holds(&Path::new("/proc").join(id.to_string())));
    // All processes of one mount namespace hold it: a few are enough to find that.
    holders.take(3).map(named).collect()
}

fn has_open(process: &Path, dev: u64) -> bool {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::metadata(entry.path()).ok()).any(|file| file.dev() == dev || file.rdev() == dev)
}

fn named(id: u32) -> String {
    let command = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    format!("process {id} ({})", command.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_a_file_of_the_device_open_is_found() {
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::tempfile().unwrap();
        assert!(has_open(Path::new("/proc/self"), file.metadata().unwrap().dev()));
        assert!(!has_open(Path::new("/proc/self"), u64::MAX));
        assert_eq!(of(u64::MAX), "by nobody that is visible from here");
    }
}
