//! Archives that people bring: compressed also by bzip2 and xz, which layers are not.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    os::unix::fs::FileExt,
};

/// What `xz -d` may take for an archive made by `xz -9` is 65 MiB; a hostile one could ask for 4 GiB.
const XZ_MEMORY_KIB: u32 = 128 << 10;

const XZ: &[u8] = b"\xfd7zXZ\0";
const BZIP2: &[u8] = b"BZh";

/// Whether [`open_archive`] has something to undo in a file.
///
/// # Errors
/// The read's.
pub fn is_bzip2_or_xz(file: &File) -> io::Result<bool> {
    let mut head = [0; XZ.len()];
    let read = file.read_at(&mut head, 0)?;
    Ok(head[..read].starts_with(XZ) || head[..read].starts_with(BZIP2))
}

/// Undoes bzip2 and xz; everything else is passed on as it is, since layers are read compressed by gzip and zstd.
///
/// # Errors
/// The error of the first read. Damaged data is an error of a later read.
pub fn open_archive<'a>(mut input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut head = Vec::new();
    input.by_ref().take(XZ.len() as u64).read_to_end(&mut head)?;
    let (is_xz, is_bzip2) = (head.starts_with(XZ), head.starts_with(BZIP2));
    let input = Cursor::new(head).chain(input);
    Ok(if is_xz {
        Box::new(lzma_rust2::XzReader::new_mem_limit(BufReader::new(input), true, XZ_MEMORY_KIB))
    } else if is_bzip2 {
        Box::new(bzip2::read::MultiBzDecoder::new(BufReader::new(input)))
    } else {
        Box::new(input)
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

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
            open_archive(&both[..]).unwrap().read_to_string(&mut plain).unwrap();
            assert_eq!(plain, "one two", "{program}");
            assert!(io::copy(&mut open_archive(&both[..both.len() - 3]).unwrap(), &mut io::sink()).is_err());
        }
    }

    #[test]
    fn a_huge_dictionary_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        let packed = Command::new("xz").args(["-c", "--lzma2=dict=1GiB,mode=fast,mf=hc3"]).arg(&path).output().unwrap();
        assert!(packed.status.success());
        assert!(io::copy(&mut open_archive(&packed.stdout[..]).unwrap(), &mut io::sink()).is_err());
    }
}
