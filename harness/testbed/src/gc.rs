//! Taking away what killed runs left.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use storage_sys::{btrfs, dm, loopdev, mount::detach, mountinfo};

use crate::{
    Error, Result,
    testbed::{OWNER, PREFIX},
};

/// Something that was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// `mount`, `device` or `testbed`.
    pub kind: &'static str,
    /// Where it was.
    pub what: String,
}

/// Removes the testbeds below `base` whose programs are gone; loop devices go with their last mount.
///
/// # Errors
/// What could not be removed.
pub fn gc(base: &Path) -> Result<Vec<Leftover>> {
    let entries = match fs::read_dir(base) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", base)(error)),
    };
    let _no_new_ones = lock(base)?;
    let mut gone = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("read", base))?;
        let is_testbed = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_testbed && !is_owned(&entry.path()) {
            remove(entry.path(), &mut gone)?;
        }
    }
    Ok(gone)
}

/// Holds off others who make or collect testbeds in `base`, until the answer is dropped.
pub(crate) fn lock(base: &Path) -> Result<File> {
    let dir = File::open(base).map_err(Error::io("open", base))?;
    flock(&dir, FlockOperation::LockExclusive).map_err(Error::io("lock", base))?;
    Ok(dir)
}

/// The lock goes with the process that holds it, however it ends.
fn is_owned(dir: &Path) -> bool {
    File::open(dir.join(OWNER)).is_ok_and(|owner| flock(&owner, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// device-mapper devices keep the loop devices that they stand on.
pub(crate) fn remove_devices(dir: &Path) -> Result<Vec<String>> {
    let attached = loopdev::attached().map_err(Error::io("read", "/sys/block"))?;
    let mut removed = Vec::new();
    for (device, _) in attached.iter().filter(|(_, file)| file.starts_with(dir)) {
        let name = device.file_name().unwrap_or_default().to_string_lossy();
        removed.extend(dm::remove_above(&name).map_err(Error::io("remove what stands on", device))?);
    }
    Ok(removed)
}

fn remove(dir: PathBuf, gone: &mut Vec<Leftover>) -> Result<()> {
    let real = fs::canonicalize(&dir).map_err(Error::io("open", &dir))?;
    let mounts = mountinfo::below(&real).map_err(Error::io("read", "/proc/self/mountinfo"))?;
    for mount in mounts.iter().rev() {
        detach(&mount.mount_point).map_err(Error::io("unmount", &mount.mount_point))?;
        gone.push(Leftover { kind: "mount", what: mount.mount_point.display().to_string() });
    }
    for name in remove_devices(&real)? {
        gone.push(Leftover { kind: "device", what: name });
    }
    btrfs::remove_tree(&dir).map_err(Error::io("remove", &dir))?;
    gone.push(Leftover { kind: "testbed", what: dir.display().to_string() });
    Ok(())
}
