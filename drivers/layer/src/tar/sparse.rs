//! Maps of sparse files: GNU's PAX format 1.0 is written, and that, 0.1, 0.0 and the old GNU format are read
//! (GNU tar manual, "Storing Sparse Files").

use super::{BLOCK, header::number, padding};
use crate::manifest::Region;

/// The map of format 1.0: a decimal number a line, filled up to a whole block.
///
/// A file that ends in a hole has an empty segment at its end, as GNU tar writes it.
pub(crate) fn encode_map(data: &[Region], size: u64) -> Vec<u8> {
    use std::io::Write as _;
    let end = data.last().map_or(0, |last| last.offset + last.length);
    let tail = (end < size).then_some(Region { offset: size, length: 0 });
    let mut map = Vec::new();
    // Writing to a vector does not fail.
    let _ = writeln!(map, "{}", data.len() + usize::from(tail.is_some()));
    for region in data.iter().chain(&tail) {
        let _ = write!(map, "{}\n{}\n", region.offset, region.length);
    }
    map.resize(map.len() + padding(map.len() as u64), 0);
    map
}

/// Reads a map of format 1.0 block by block.
#[derive(Debug, Default)]
pub(crate) struct MapReader {
    text: Vec<u8>,
    numbers: Vec<u64>,
}

impl MapReader {
    /// Takes the next block; true when the map is complete.
    pub fn push(&mut self, block: &[u8; BLOCK], most: usize) -> Result<bool, MapError> {
        self.text.extend_from_slice(block);
        let mut start = 0;
        while !self.is_complete() {
            let Some(end) = self.text[start..].iter().position(|&byte| byte == b'\n') else { break };
            self.numbers.push(decimal(&self.text[start..start + end]).ok_or(MapError::Malformed)?);
            start += end + 1;
            if self.numbers[0] > most as u64 {
                return Err(MapError::TooLong(self.numbers[0]));
            }
        }
        self.text.drain(..start);
        // A number is at most 20 digits, so an unfinished line cannot fill a block.
        if !self.is_complete() && self.text.len() > 32 {
            return Err(MapError::Malformed);
        }
        Ok(self.is_complete())
    }

    fn is_complete(&self) -> bool {
        self.numbers.first().is_some_and(|&count| self.numbers.len() as u64 > count.saturating_mul(2))
    }

    pub fn finish(self) -> Vec<Region> {
        pairs(&self.numbers[1..])
    }
}

/// Why a map is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapError {
    Malformed,
    TooLong(u64),
}

/// The map of format 0.1, `offset,length,offset,length`.
pub(crate) fn parse_list(list: &[u8], most: usize) -> Result<Vec<Region>, MapError> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let count = list.iter().filter(|&&byte| byte == b',').count() + 1;
    if count / 2 > most {
        return Err(MapError::TooLong(count as u64 / 2));
    }
    let numbers: Option<Vec<u64>> = list.split(|&byte| byte == b',').map(decimal).collect();
    let numbers = numbers.ok_or(MapError::Malformed)?;
    if numbers.len() % 2 == 1 { Err(MapError::Malformed) } else { Ok(pairs(&numbers)) }
}

/// The entries of an old GNU header or of one of its extension blocks; an entry without numbers ends them.
pub(crate) fn parse_old(entries: &[u8], data: &mut Vec<Region>) -> Result<(), MapError> {
    for entry in entries.chunks_exact(24) {
        if entry[0] == 0 || entry[12] == 0 {
            break;
        }
        let part = |field: &[u8]| number(field).ok().and_then(|n| u64::try_from(n).ok()).ok_or(MapError::Malformed);
        data.push(Region { offset: part(&entry[..12])?, length: part(&entry[12..])? });
    }
    Ok(())
}

/// Segments must be in order, apart, within the file, and as long together as the body, or a reader would read
/// what is not there.
pub(crate) fn check(data: &[Region], size: u64, body: u64) -> Result<(), MapError> {
    let mut end = 0;
    let mut total: u64 = 0;
    for region in data {
        let next = region.offset.checked_add(region.length).ok_or(MapError::Malformed)?;
        if region.offset < end || next > size {
            return Err(MapError::Malformed);
        }
        end = next;
        total += region.length;
    }
    if total == body { Ok(()) } else { Err(MapError::Malformed) }
}

pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn pairs(numbers: &[u64]) -> Vec<Region> {
    numbers.chunks_exact(2).map(|pair| Region { offset: pair[0], length: pair[1] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn region(offset: u64, length: u64) -> Region {
        Region { offset, length }
    }

    fn read(map: &[u8], most: usize) -> Result<Option<Vec<Region>>, MapError> {
        let mut reader = MapReader::default();
        for block in map.chunks_exact(BLOCK) {
            if reader.push(block.try_into().unwrap(), most)? {
                return Ok(Some(reader.finish()));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_map_of_any_length_is_read_back() {
        for count in [0, 1, 30, 100, 1000] {
            let data: Vec<_> = (0..count).map(|n| region(n * 8192, 4096)).collect();
            let size = count * 8192;
            let map = encode_map(&data, size);
            let mut expected = data.clone();
            if count > 0 {
                expected.push(region(size, 0));
            }
            assert_eq!(read(&map, 2000).unwrap().unwrap(), expected);
        }
    }

    #[test]
    fn hostile_maps_are_refused() {
        let block = |text: &str| {
            let mut block = text.as_bytes().to_vec();
            block.resize(BLOCK, 0);
            block
        };
        assert_eq!(read(&block("99999999999\n"), 1000), Err(MapError::TooLong(99_999_999_999)));
        assert_eq!(read(&block("1\nx\n1\n"), 1000), Err(MapError::Malformed));
        assert_eq!(read(&block(&"1".repeat(BLOCK)), 1000), Err(MapError::Malformed));
        assert_eq!(read(&block("2\n0\n1\n"), 1000), Err(MapError::Malformed), "the rest of the block is no number");
        for data in [
            vec![region(4096, 1), region(0, 1)],
            vec![region(0, 2), region(1, 2)],
            vec![region(u64::MAX, 2)],
            vec![region(9000, 2000)],
        ] {
            let body = data.iter().map(|region| region.length).sum();
            assert_eq!(check(&data, 10_000, body), Err(MapError::Malformed), "{data:?}");
        }
        assert_eq!(check(&[region(0, 5)], 10, 6), Err(MapError::Malformed), "the body is longer than the map says");
        assert_eq!(check(&[region(0, 5), region(10, 0)], 10, 5), Ok(()));
        assert_eq!(parse_list(b"0,1,2", 10), Err(MapError::Malformed));
        assert_eq!(parse_list(b"0,1,2,3", 1), Err(MapError::TooLong(2)));
    }
}
