use std::path::Path;

use super::{Hierarchy, failed};
use crate::Result;

/// Removes cgroups that are left of containers whose starter has died, and returns their paths.
///
/// Their names end with the starter's process id. Those that still hold processes are left alone.
///
/// # Errors
/// A directory of ours cannot be read.
pub fn gc_cgroups() -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for base in Hierarchy::detect().existing() {
        for entry in std::fs::read_dir(&base).map_err(failed("read", &base))? {
            let entry = entry.map_err(failed("read", &base))?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let orphaned = entry.file_name().to_str().and_then(starter).is_some_and(|pid| !is_alive(pid));
            // With a process in it the directory is busy, and stays.
            if is_directory && orphaned && std::fs::remove_dir(entry.path()).is_ok() {
                removed.push(entry.path().display().to_string());
            }
        }
    }
    Ok(removed)
}

/// How many directories of cgroups this process has made for containers and not removed yet.
///
/// # Errors
/// A directory of ours cannot be read.
pub fn own_cgroups() -> Result<usize> {
    let mut own = 0;
    for base in Hierarchy::detect().existing() {
        for entry in std::fs::read_dir(&base).map_err(failed("read", &base))? {
            let name = entry.map_err(failed("read", &base))?.file_name();
            own += usize::from(name.to_str().and_then(starter) == Some(std::process::id()));
        }
    }
    Ok(own)
}

/// The process that made the cgroup `name`.
fn starter(name: &str) -> Option<u32> {
    name.rsplit_once('.')?.1.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_with_their_starter() {
        assert_eq!(starter("a1b2.77"), Some(77));
        assert_eq!(starter("a.b.77"), Some(77));
        assert_eq!(starter("77"), None);
        assert_eq!(starter("a.b"), None);
        assert!(is_alive(std::process::id()));
    }
}
