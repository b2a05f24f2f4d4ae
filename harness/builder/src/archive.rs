//! Archives that ADD unpacks: tars, plain or compressed by gzip, bzip2, xz or zstd.

use std::{
    fs::{self, File},
    io::{self, BufReader, Cursor, Read},
    path::Path,
};

/// What `xz -d` may take for an archive made by `xz -9` is 65 MiB; a hostile one could ask for 4 GiB.
const XZ_MEMORY_KIB: u32 = 128 << 10;

/// Longer than any magic number below.
const HEAD: u64 = 6;

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
    let plain = open(file).and_then(storage_layer::decompress);
    let read = plain.and_then(|plain| plain.take(BLOCK as u64).read_to_end(&mut header));
    Ok(read.is_ok() && is_header(&header))
}

/// Undoes bzip2 and xz; everything else is passed on as it is, since layers are read compressed by gzip and zstd.
///
/// # Errors
/// The error of the first read. Damaged data is an error of a later read.
pub fn open<'a>(mut input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD).read_to_end(&mut head)?;
    let (is_xz, is_bzip2) = (head.starts_with(b"\xfd7zXZ\0"), head.starts_with(b"BZh"));
    let input = Cursor::new(head).chain(input);
    Ok(if is_xz {
        Box::new(lzma_rust2::XzReader::new_mem_limit(BufReader::new(input), true, XZ_MEMORY_KIB))
    } else if is_bzip2 {
        Box::new(bzip2::read::MultiBzDecoder::new(BufReader::new(input)))
    } else {
        Box::new(input)
    })
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

    #[test]
    fn several_streams_are_one() {
        let dir = tempfile::tempdir().unwrap();
        for program in ["xz", "bzip2"] {
            let mut both = Vec::new();
            for part in ["one ", "two"] {
                let path = dir.path().join(part.trim());
                fs::write(&path, part).unwrap();
                let output = Command::new(program).arg("-c").arg(&path).output();
                both.extend(output.unwrap_or_else(|error| panic!("install {program}: {error}")).stdout);
            }
            let mut plain = String::new();
            open(&both[..]).unwrap().read_to_string(&mut plain).unwrap();
            assert_eq!(plain, "one two", "{program}");
            assert!(io::copy(&mut open(&both[..both.len() - 3]).unwrap(), &mut io::sink()).is_err());
        }
    }

    #[test]
    fn a_huge_dictionary_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        let packed = Command::new("xz").args(["-c", "--lzma2=dict=1GiB,mode=fast,mf=hc3"]).arg(&path).output().unwrap();
        assert!(packed.status.success());
        assert!(io::copy(&mut open(&packed.stdout[..]).unwrap(), &mut io::sink()).is_err());
    }
}
