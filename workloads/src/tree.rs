//! The ten-step build in Rust: its input from a seed, and what must come out, worked out without running anything.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use crate::{Error, Result};

/// Directories that the files are spread over.
const DIRECTORIES: u64 = 20;

/// The files of the context: path relative to it, and content.
pub(crate) fn files(seed: u64, count: u64) -> BTreeMap<String, Vec<u8>> {
    (0..count)
        .map(|number| {
            let path = format!("files/d{:02}/f{number:05}", number % DIRECTORIES);
            (path, content(seed, number))
        })
        .collect()
}

/// Lines of hexadecimal digits, 1 to 8 KiB, which compress as text does.
fn content(seed: u64, number: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number + 1).wrapping_mul(0xD134_2543_DE82_EF95);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    let lines = 16 + next() % 112;
    let mut text = String::new();
    for line in 0..lines {
        let _ = writeln!(text, "{line:04} {:016x} {:016x} the quick brown fox", next(), next());
    }
    text.into_bytes()
}

/// Writes the context.
pub(crate) fn write(context: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    for (path, content) in files {
        let path = context.join(path);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        }
        fs::write(&path, content).map_err(Error::io("write", &path))?;
    }
    Ok(())
}

/// What the built image prints: the checksum, size and name of every file, then the names of the private ones.
pub(crate) fn expected(files: BTreeMap<String, Vec<u8>>) -> String {
    let mut work = files;
    for number in 1..=200 {
        work.insert(format!("made/{number}"), format!("made {number}\n").into_bytes());
    }
    for (_, content) in work.iter_mut().filter(|(path, _)| path.starts_with("files/d00/")) {
        content.extend_from_slice(b"appended\n");
    }
    let moved: Vec<String> = work.keys().filter(|path| path.starts_with("files/d02/")).cloned().collect();
    for path in moved {
        if let Some(content) = work.remove(&path) {
            work.insert(path + ".moved", content);
        }
    }
    let removed =
        |path: &str| path.starts_with("files/d03/") || (path.starts_with("files/d04/") && path.ends_with("24"));
    work.retain(|path, _| !removed(path));
    let total: usize = work.values().map(Vec::len).sum();
    work.insert("total".to_owned(), format!("{total}\n").into_bytes());
    let mut text = String::new();
    for (path, content) in &work {
        let _ = writeln!(text, "{} {} ./{path}", cksum(content), content.len());
    }
    for path in work.keys().filter(|path| path.starts_with("files/d01/")) {
        let _ = writeln!(text, "./{path}");
    }
    text
}

/// The checksum of cksum(1): POSIX's CRC, which takes the length in after the content.
fn cksum(content: &[u8]) -> u32 {
    let mut length = content.len();
    let mut crc = content.iter().fold(0, |crc, byte| step(crc, *byte));
    while length > 0 {
        crc = step(crc, (length & 0xff) as u8);
        length >>= 8;
    }
    !crc
}

fn step(crc: u32, byte: u8) -> u32 {
    TABLE[usize::from((crc >> 24) as u8 ^ byte)] ^ (crc << 8)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_cksum() {
        // printf '' | cksum; printf 'made 1\n' | cksum
        assert_eq!(cksum(b""), 4_294_967_295);
        assert_eq!(cksum(b"123456789"), 930_766_865);
    }

    #[test]
    fn the_input_is_the_same_for_the_same_seed() {
        let one = files(1, 100);
        assert_eq!(one, files(1, 100));
        assert_ne!(one, files(2, 100));
        assert_eq!(one.len(), 100);
        let sizes: Vec<_> = one.values().map(Vec::len).collect();
        assert!(sizes.iter().all(|size| (900..9_000).contains(size)), "{sizes:?}");
    }

    #[test]
    fn what_is_expected_is_what_a_shell_makes() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        let input = files(7, 200);
        write(&work, &input).unwrap();
        // The RUN lines of the Dockerfile itself, one shell after the other.
        let dockerfile = std::str::from_utf8(crate::build::TEN_STEPS).unwrap();
        for run in dockerfile.lines().filter_map(|line| line.strip_prefix("RUN ")) {
            let run = run.replace("cd /work && ", "").replace("> /", "> ../");
            let status = std::process::Command::new("sh").args(["-c", &run]).current_dir(&work).status().unwrap();
            assert!(status.success(), "{run}");
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let found = read("sums") + &read("private");
        assert_eq!(found, expected(input));
    }
}
