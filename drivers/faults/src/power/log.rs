//! What was done to a disk, and which disks a power loss may have left.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
};

/// One thing done to the disk. In the log a write's bytes follow its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Write { offset: u64, length: u64 },
    Flush,
}

/// The offset that stands for a flush.
const FLUSH: u64 = u64::MAX;

impl Entry {
    pub fn to_bytes(self) -> [u8; 16] {
        let (offset, length) = match self {
            Self::Write { offset, length } => (offset, length),
            Self::Flush => (FLUSH, 0),
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&offset.to_le_bytes());
        bytes[8..].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    fn read(log: &mut impl Read) -> io::Result<Option<Self>> {
        let mut number = || {
            let mut bytes = [0; 8];
            log.read_exact(&mut bytes).map(|()| u64::from_le_bytes(bytes))
        };
        match number() {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
            Ok(FLUSH) => number().map(|_| Some(Self::Flush)),
            Ok(offset) => Ok(Some(Self::Write { offset, length: number()? })),
        }
    }
}

/// The entries of a log, each with where its bytes are and where it ends in the log.
#[derive(Debug)]
pub struct Log {
    file: File,
    entries: Vec<Placed>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    entry: Entry,
    data: u64,
    end: u64,
}

/// A disk as a power loss may have left it: every entry before `flushed`, which ends with a flush, and of the writes from
/// there to `until` those that [`Kept`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    flushed: usize,
    until: usize,
    kept: Kept,
    /// Whether the operation had returned.
    pub after: bool,
}

/// Which of the writes that no flush followed the disk had done: it may do them in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    None,
    All,
    Even,
    Odd,
}

impl Kept {
    const fn keeps(self, index: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Even => index.is_multiple_of(2),
            Self::Odd => !index.is_multiple_of(2),
        }
    }
}

impl Log {
    /// Reads a log to its end.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = io::BufReader::new(File::open(path)?);
        let mut entries = Vec::new();
        let mut at = 0;
        while let Some(entry) = Entry::read(&mut file)? {
            let data = at + 16;
            let length = if let Entry::Write { length, .. } = entry { length } else { 0 };
            at = data + length;
            file.seek(SeekFrom::Start(at))?;
            entries.push(Placed { entry, data, end: at });
        }
        Ok(Self { file: file.into_inner(), entries })
    }

    /// Every disk that a power loss between two lengths of the log may have left: at every flush, what it covered, and
    /// what may have come through of the writes behind it.
    pub fn states(&self, from: u64, to: u64) -> Vec<State> {
        let first = self.entries.partition_point(|placed| placed.end <= from);
        let last = self.entries.partition_point(|placed| placed.end <= to);
        let is_flush = |index: &usize| self.entries[*index].entry == Entry::Flush;
        let before = (0..first).rev().find(is_flush).map_or(0, |index| index + 1);
        let mut bases = vec![before];
        bases.extend((first..last).filter(is_flush).map(|index| index + 1));
        let mut states = Vec::new();
        for (index, &flushed) in bases.iter().enumerate() {
            let until = bases.get(index + 1).map_or(last, |next| next - 1);
            let after = index + 1 == bases.len();
            let state = |kept| State { flushed, until, kept, after };
            states.push(state(Kept::None));
            match until - flushed {
                0 => {}
                // What all of them leave before a flush is what is left at the flush.
                1 if !after => {}
                1 => states.push(state(Kept::All)),
                _ => {
                    states.extend([state(Kept::Even), state(Kept::Odd)]);
                    states.extend(after.then(|| state(Kept::All)));
                }
            }
        }
        states
    }

    /// How long the log was when the last flush of a state ended.
    pub fn length_at(&self, state: &State) -> u64 {
        state.flushed.checked_sub(1).and_then(|last| self.entries.get(last)).map_or(0, |placed| placed.end)
    }

    /// In words: what the disk had done.
    pub fn describe(&self, state: &State) -> String {
        let flushes = self.entries[..state.flushed].iter().filter(|placed| placed.entry == Entry::Flush).count();
        let behind = state.until.saturating_sub(state.flushed);
        let kept = match state.kept {
            Kept::None => "none",
            Kept::All => "all",
            Kept::Even => "the even ones",
            Kept::Odd => "the odd ones",
        };
        format!("flush {flushes}, and {kept} of {behind} writes behind it")
    }

    /// Does to a copy of the disk's beginning what the disk had done.
    pub fn replay(&self, state: &State, image: &File) -> io::Result<()> {
        let flushed = self.entries[..state.flushed].iter();
        let behind = self.entries[state.flushed..state.until].iter().enumerate();
        let kept = behind.filter(|(index, _)| state.kept.keeps(*index)).map(|(_, placed)| placed);
        let mut buffer = Vec::new();
        for Placed { entry, data, .. } in flushed.chain(kept) {
            let Entry::Write { offset, length } = *entry else { continue };
            buffer.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
            self.file.read_exact_at(&mut buffer, *data)?;
            image.write_all_at(&buffer, offset)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// One letter a write of one byte at its place in the alphabet, `|` a flush.
    fn log(text: &str) -> (tempfile::TempDir, Log) {
        let dir = tempfile::tempdir().unwrap();
        let mut file = File::create(dir.path().join("log")).unwrap();
        for letter in text.bytes() {
            if letter == b'|' {
                file.write_all(&Entry::Flush.to_bytes()).unwrap();
            } else {
                let offset = u64::from(letter - b'a');
                file.write_all(&Entry::Write { offset, length: 1 }.to_bytes()).unwrap();
                file.write_all(&[letter]).unwrap();
            }
        }
        let log = Log::read(&dir.path().join("log")).unwrap();
        (dir, log)
    }

    fn disks(log: &Log, states: &[State]) -> Vec<String> {
        let disk = |state| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(8).unwrap();
            log.replay(state, &file).unwrap();
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes.iter().map(|byte| if *byte == 0 { '.' } else { char::from(*byte) }).collect()
        };
        states.iter().map(disk).collect()
    }

    #[test]
    fn at_every_flush_what_it_covered_and_some_of_what_came_behind() {
        let (_dir, log) = log("ab|cde|f|gh");
        let all = log.entries.last().unwrap().end;
        let states = log.states(0, all);
        let expected = [
            "........", "a.......", ".b......", // nothing was flushed
            "ab......", "ab.d....", "abc.e...", // the first flush
            "abcde...", // the second
            "abcdef..", "abcdefg.", "abcdef.h", "abcdefgh", // the last, and the operation has returned
        ];
        let mut found = disks(&log, &states);
        found.sort();
        let mut expected = expected.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(states.iter().filter(|state| state.after).count(), 4);
        assert_eq!(log.describe(&states[3]), "flush 1, and none of 3 writes behind it");
    }

    #[test]
    fn what_an_operation_did_not_do_is_on_the_disk_as_far_as_it_was_flushed() {
        let (_dir, log) = log("a|b|");
        let before = log.entries[1].end;
        let states = log.states(before, log.entries[2].end);
        assert_eq!(disks(&log, &states), ["a.......", "ab......"]);
        assert!(states.iter().all(|state| state.after));
        assert_eq!(log.length_at(&states[0]), before);
    }
}
