//! Taking away what killed runs left.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};
use storage_sys::{btrfs, dm, loopdev, mount::detach, mountinfo};

use crate::{
    Error, Result,
    testbed::{OWNER, PREFIX},
};

/// How links to testbeds that are not in the base start.
pub(crate) const ELSEWHERE: &str = "elsewhere-";

/// Something that was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// `mount`, `device`, `testbed`, or what the caller of [`remove_leftover`] calls it.
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
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && !is_owned(&path) {
            gone.extend(remove_leftover(&path, "testbed")?);
        } else if name.starts_with(ELSEWHERE) {
            gone.extend(remove_elsewhere(&path)?);
        }
    }
    Ok(gone)
}

/// Follows a link to a testbed that was made in a directory of the user's.
fn remove_elsewhere(link: &Path) -> Result<Vec<Leftover>> {
    let dir = fs::read_link(link).map_err(Error::io("read", link))?;
    let mut gone = Vec::new();
    if dir.exists() {
        if is_owned(&dir) {
            return Ok(gone);
        }
        gone = remove_leftover(&dir, "testbed")?;
    }
    fs::remove_file(link).map_err(Error::io("remove", link))?;
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

/// Removes a directory that nobody works in any more, with what is mounted below it, the devices that stand on its files, and
/// its subvolumes. `kind` is what people call such a directory.
///
/// # Errors
/// What could not be removed.
pub fn remove_leftover(dir: &Path, kind: &'static str) -> Result<Vec<Leftover>> {
    let mut gone = Vec::new();
    let real = fs::canonicalize(dir).map_err(Error::io("open", dir))?;
    let mounts = mountinfo::below(&real).map_err(Error::io("read", "/proc/self/mountinfo"))?;
    for mount in mounts.iter().rev() {
        detach(&mount.mount_point).map_err(Error::io("unmount", &mount.mount_point))?;
        gone.push(Leftover { kind: "mount", what: mount.mount_point.display().to_string() });
    }
    for name in remove_devices(&real)? {
        gone.push(Leftover { kind: "device", what: name });
    }
    btrfs::remove_tree(dir).map_err(Error::io("remove", dir))?;
    gone.push(Leftover { kind, what: dir.display().to_string() });
    Ok(gone)
}
