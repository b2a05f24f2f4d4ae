//! Device nodes, with udev, with devtmpfs alone, or with neither.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, major, makedev, minor, mknodat};

const MAPPER: &str = "/dev/mapper";

/// `MAJOR:MINOR`, as tables name devices.
#[must_use]
pub fn number(dev: u64) -> String {
    format!("{}:{}", major(dev), minor(dev))
}

/// The node of a device: the kernel's own where devtmpfs is mounted, which is there as soon as the device is, else one
/// that is made at `/dev/mapper/NAME`.
///
/// # Errors
/// mknod(2)'s.
pub fn of(name: &str, dev: u64) -> io::Result<PathBuf> {
    let kernels = PathBuf::from(format!("/dev/dm-{}", minor(dev)));
    if leads_to(&kernels, dev) {
        return Ok(kernels);
    }
    let own = Path::new(MAPPER).join(name);
    if leads_to(&own, dev) {
        return Ok(own);
    }
    fs::create_dir_all(MAPPER)?;
    // What is there under this name leads to a device that is gone.
    forget(name)?;
    mknodat(CWD, &own, FileType::BlockDevice, Mode::RUSR | Mode::WUSR, dev)?;
    Ok(own)
}

/// Removes a node that [`of`] made, if it made one.
///
/// # Errors
/// unlink(2)'s.
pub fn forget(name: &str) -> io::Result<()> {
    match fs::remove_file(Path::new(MAPPER).join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The number of the block device at `path`.
///
/// # Errors
/// `ENOTBLK` when it is none.
pub fn dev(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    if !metadata.file_type().is_block_device() {
        return Err(io::Error::from_raw_os_error(libc::ENOTBLK));
    }
    Ok(metadata.rdev())
}

fn leads_to(path: &Path, dev: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_block_device() && found.rdev() == dev)
}

/// Makes the control node where the kernel has device-mapper and nobody has made it.
pub(super) fn ensure_control() -> io::Result<()> {
    if Path::new(super::CONTROL).exists() {
        return Ok(());
    }
    // misc devices, by number and name (proc(5)); their major number is 10.
    let misc = fs::read_to_string("/proc/misc")?;
    let Some(minor) = misc.lines().find_map(|line| line.trim().strip_suffix(" device-mapper")?.trim().parse().ok())
    else {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    };
    fs::create_dir_all(MAPPER)?;
    match mknodat(CWD, super::CONTROL, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, makedev(10, minor)) {
        Err(rustix::io::Errno::EXIST) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_by_their_numbers() {
        assert_eq!(number(makedev(253, 300)), "253:300");
        assert_eq!(dev(Path::new("/dev/null")).unwrap_err().raw_os_error(), Some(libc::ENOTBLK));
    }
}
