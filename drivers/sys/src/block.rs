//! Block devices: how large they are, and what they did so far (kernel: Documentation/block/stat.rst).
#![allow(unsafe_code)]

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{major, minor},
    ioctl::{self, Getter, Setter, opcode},
};

/// The answer is 64 bits wide everywhere; the number has `size_t` in it (linux/fs.h).
const BLKGETSIZE64: ioctl::Opcode = opcode::read::<usize>(0x12, 114);

/// How many bytes an open block device has.
///
/// # Errors
/// `ENOTTY` when it is no block device.
pub fn size(device: &File) -> io::Result<u64> {
    // SAFETY: BLKGETSIZE64 writes one u64, for which `Getter` provides the memory.
    Ok(unsafe { ioctl::ioctl(device, Getter::<BLKGETSIZE64, u64>::new()) }?)
}

/// `_IO(0x12, 119)`, linux/fs.h.
const BLKDISCARD: ioctl::Opcode = opcode::none(0x12, 119);

/// Tells an open block device that its first `length` bytes are not needed any more.
///
/// # Errors
/// `EOPNOTSUPP` where the device cannot give anything back.
pub fn discard(device: &File, length: u64) -> io::Result<()> {
    // SAFETY: BLKDISCARD reads two u64, start and length, and `Setter` passes a pointer to just these.
    Ok(unsafe { ioctl::ioctl(device, Setter::<BLKDISCARD, [u64; 2]>::new([0, length])) }?)
}

/// Where the kernel keeps the counters of the device that holds `path`; `None` where no single block device does, as
/// with tmpfs, overlay and btrfs.
///
/// # Errors
/// When `path` is not there.
pub fn stat_path_of_holder(path: &Path) -> io::Result<Option<PathBuf>> {
    let device = fs::metadata(path)?.dev();
    let stat = PathBuf::from(format!("/sys/dev/block/{}:{}/stat", major(device), minor(device)));
    Ok(stat.exists().then_some(stat))
}

/// Makes a device count every request that a file system sends: merging neighbours into one depends on when they come
/// (kernel: Documentation/ABI/stable/sysfs-block, `queue/nomerges`).
///
/// # Errors
/// When the device has no queue, or the kernel does not let us.
pub fn forbid_merges(device: &Path) -> io::Result<()> {
    let device = fs::canonicalize(device)?;
    let name = device.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    fs::write(Path::new("/sys/class/block").join(name).join("queue/nomerges"), "2")
}

/// Counters since the device was made. A sector here is always 512 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockStat {
    /// Read requests that completed.
    pub reads: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Write requests that completed.
    pub writes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Flush requests that completed.
    pub flushes: u64,
    /// Bytes discarded.
    pub discarded_bytes: u64,
}

/// Where the kernel keeps the counters of the device with this name, such as `/dev/loop3`.
#[must_use]
pub fn stat_path(device: &Path) -> Option<PathBuf> {
    let device = fs::canonicalize(device).ok()?;
    Some(Path::new("/sys/class/block").join(device.file_name()?).join("stat"))
}

/// Reads the counters.
///
/// # Errors
/// When the file is not there, or is not of its form.
pub fn read(stat: &Path) -> io::Result<BlockStat> {
    let text = fs::read_to_string(stat)?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("unexpected counters {text:?}")))
}

/// Parses the file's text: 11 numbers before Linux 4.18, 15 with discards, 17 with flushes (5.5).
#[must_use]
pub fn parse(text: &str) -> Option<BlockStat> {
    const SECTOR: u64 = 512;
    let numbers: Vec<u64> = text.split_ascii_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let at = |index: usize| numbers.get(index).copied();
    Some(BlockStat {
        reads: at(0)?,
        read_bytes: at(2)?.saturating_mul(SECTOR),
        writes: at(4)?,
        written_bytes: at(6)?.saturating_mul(SECTOR),
        flushes: at(15).unwrap_or(0),
        discarded_bytes: at(13).unwrap_or(0).saturating_mul(SECTOR),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ioctl_number_is_the_kernels() {
        #[cfg(target_pointer_width = "64")]
        assert_eq!(BLKGETSIZE64, 0x8008_1272);
        assert_eq!(BLKDISCARD, 0x1277);
        let file = tempfile::tempfile().unwrap();
        assert_eq!(size(&file).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
    }

    #[test]
    fn proc_is_on_no_device() {
        assert_eq!(stat_path_of_holder(Path::new("/proc")).unwrap(), None);
    }

    #[test]
    fn reads_every_kernels_form() {
        let new =
            "    446      216     7606      200    31    27   464   50    0   152   262   3   0   8   4   9   7\n";
        let expected = BlockStat {
            reads: 446,
            read_bytes: 7606 * 512,
            writes: 31,
            written_bytes: 464 * 512,
            flushes: 9,
            discarded_bytes: 8 * 512,
        };
        assert_eq!(parse(new), Some(expected));
        let old = "446 216 7606 200 31 27 464 50 0 152 262";
        assert_eq!(parse(old), Some(BlockStat { flushes: 0, discarded_bytes: 0, ..expected }));
        assert_eq!(parse("1 2 x"), None);
        assert_eq!(parse(""), None);
    }
}
