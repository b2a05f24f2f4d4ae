//! Block devices that the user names: what is on them, and whether it may be overwritten.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use storage_sys::block;

use crate::{Error, Result, mkfs::UUID_START};

/// Boot sectors, partition tables, RAID, LVM and all file systems have their signatures within this much of the
/// start or the end (blkid's list of superblocks).
const ENDS: u64 = 1 << 20;

/// How long a device may be busy with what others hold for a moment.
const BUSY: Duration = Duration::from_secs(1);

/// Where the UUID is: ext4 (`s_uuid`), xfs (`sb_uuid`), btrfs (`fsid`).
const UUIDS: [usize; 3] = [1024 + 0x68, 32, 64 * 1024 + 0x20];

/// Fails unless `path` is a block device that nobody uses and that is empty or was a testbed before; its size is
/// the answer. `force` lets any content go.
pub fn check(path: &Path, force: bool) -> Result<u64> {
    let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
    if !metadata.file_type().is_block_device() {
        return Err(Error::NoDevice { path: path.to_owned() });
    }
    let mut device = claim(path)?;
    let size = block::size(&device).map_err(Error::io("ask the size of", path))?;
    if !force && let Some(found) = content(&mut device, size).map_err(Error::io("read", path))? {
        return Err(Error::Occupied { path: path.to_owned(), found });
    }
    Ok(size)
}

/// Opens a device that nobody else uses. A program that has just made a mount namespace holds what was mounted at that moment,
/// unmounted since or not, until it lets go of it; so one that is busy is asked again for a while.
fn claim(path: &Path) -> Result<File> {
    // On a block device O_EXCL alone asks whether it is mounted or otherwise claimed (open(2)).
    let flags = i32::try_from(OFlags::EXCL.bits()).unwrap_or_default();
    let deadline = Instant::now() + BUSY;
    loop {
        match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() != io::ErrorKind::ResourceBusy => return Err(Error::io("open", path)(error)),
            Err(_) if Instant::now() < deadline => sleep(BUSY / 50),
            Err(_) => return Err(Error::InUse { path: path.to_owned() }),
            Ok(device) => return Ok(device),
        }
    }
}

fn content(device: &mut File, size: u64) -> io::Result<Option<&'static str>> {
    let mut start = Vec::new();
    device.take(ENDS).read_to_end(&mut start)?;
    if UUIDS.iter().any(|&at| start.get(at..).is_some_and(|rest| rest.starts_with(&UUID_START))) {
        return Ok(None);
    }
    if start.iter().any(|byte| *byte != 0) {
        return Ok(Some("data in its first MiB"));
    }
    let mut end = Vec::new();
    device.seek(SeekFrom::Start(size.saturating_sub(ENDS)))?;
    device.take(ENDS).read_to_end(&mut end)?;
    Ok(end.iter().any(|byte| *byte != 0).then_some("data in its last MiB"))
}
