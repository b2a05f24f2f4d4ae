//! Archives that ADD unpacks: tars, plain or compressed by gzip, bzip2, xz or zstd.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use harness_image::open_archive;

const BLOCK: usize = 512;

/// Whether a file is a tar in one of the known forms.
///
/// # Errors
/// When the file cannot be read. Damaged compression only says that it is no archive.
pub fn is_tar(path: &Path) -> io::Result<bool> {
    // Opening a FIFO waits for a writer.
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let file = File::open(path)?;
    let mut header = Vec::new();
    let plain = open_archive(file).and_then(storage_layer::decompress);
    let read = plain.and_then(|plain| plain.take(BLOCK as u64).read_to_end(&mut header));
    Ok(read.is_ok() && is_header(&header))
}

/// The checksum of a header is the sum of its bytes with spaces in its own place (tar(5)).
fn is_header(header: &[u8]) -> bool {
    if header.len() < BLOCK {
        return false;
    }
    let sum: u64 =
        header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
    let field = String::from_utf8_lossy(&header[148..156]);
    let field = field.trim_matches([' ', '\0']);
    !field.is_empty() && u64::from_str_radix(field, 8) == Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn archives_are_told_by_their_header() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text.tar");
        fs::write(&text, vec![b'x'; 2048]).unwrap();
        assert!(!is_tar(&text).unwrap());
        for damaged in [&b"\xfd7zXZ\0 and so on"[..], b"BZh9 and so on", b"\x1f\x8b", b""] {
            fs::write(&text, damaged).unwrap();
            assert!(!is_tar(&text).unwrap());
        }
        for option in ["-cf", "-czf", "-cjf", "-cJf"] {
            let tar = dir.path().join("real");
            let status = Command::new("tar").arg(option).arg(&tar).args(["-C", "/etc", "hostname"]).status();
            assert!(status.unwrap().success(), "install tar, gzip, bzip2 and xz-utils");
            assert!(is_tar(&tar).unwrap(), "{option}");
        }
    }

    #[test]
    fn a_fifo_is_no_archive_and_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(!is_tar(&path).unwrap());
    }
}
