//! What a block device did so far (kernel: Documentation/block/stat.rst).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

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
