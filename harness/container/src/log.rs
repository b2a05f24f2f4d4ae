//! What a container wrote, in docker's `json-file` form: an object a line, with the text, the stream and the time.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use harness_image::{parse_rfc3339, rfc3339};
use harness_runtime::Stream;
use serde::{Deserialize, Serialize};
use storage_driver::Timestamp;

use crate::{Error, LogOptions, Result};

const FILE: &str = "log";
/// A line without an end is written in pieces of this length, as docker's.
const LONGEST: usize = 16 * 1024;
/// How often a follower looks.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Serialize, Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    log: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    stream: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    time: std::borrow::Cow<'a, str>,
}

/// A line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub time: Timestamp,
    /// Where.
    pub stream: Stream,
    /// What, with its newline if it had one.
    pub text: String,
}

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogFilter {
    /// The last ones only.
    pub tail: Option<usize>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

impl LogFilter {
    fn takes(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.time >= since) && self.until.is_none_or(|until| line.time <= until)
    }
}

/// Writes a container's log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    file: File,
    size: u64,
    options: LogOptions,
    /// Of each stream, what has no end yet.
    partial: [Vec<u8>; 2],
}

impl LogWriter {
    pub(crate) fn open(dir: &Path, options: &LogOptions) -> Result<Self> {
        let path = dir.join(FILE);
        let file = append(&path)?;
        let size = file.metadata().map_err(Error::io("examine", &path))?.len();
        Ok(Self { path, file, size, options: options.clone(), partial: [Vec::new(), Vec::new()] })
    }

    /// Takes what a stream brought; whole lines are in the file when this returns.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut partial = std::mem::take(&mut self.partial[index(stream)]);
        partial.extend_from_slice(bytes);
        let mut entries = Vec::new();
        let mut rest = partial.as_slice();
        while let Some(length) = next(rest) {
            let (line, after) = rest.split_at(length);
            encode(stream, line, &mut entries)?;
            rest = after;
        }
        let done = partial.len() - rest.len();
        partial.drain(..done);
        self.partial[index(stream)] = partial;
        self.append(&entries)
    }

    /// Writes what never got an end.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let mut entries = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let partial = std::mem::take(&mut self.partial[index(stream)]);
            if !partial.is_empty() {
                encode(stream, &partial, &mut entries)?;
            }
        }
        self.append(&entries)
    }

    fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        if self.options.max_size.is_some_and(|most| self.size > 0 && self.size + entries.len() as u64 > most) {
            self.rotate()?;
        }
        self.file.write_all(entries)?;
        self.size += entries.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let kept = self.options.max_files.unwrap_or(1).max(1);
        if kept == 1 {
            self.file.set_len(0)?;
        } else {
            for number in (0..kept - 1).rev() {
                match fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            self.file = append(&self.path).map_err(io::Error::other)?;
        }
        self.size = 0;
        Ok(())
    }
}

/// Appends, so that truncating leaves no hole.
fn append(path: &Path) -> Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(Error::io("open", path))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 { path.to_owned() } else { path.with_extension(number.to_string()) }
}

const fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

/// How long the first line is, if it is whole or too long to wait for its end.
fn next(bytes: &[u8]) -> Option<usize> {
    match bytes.iter().take(LONGEST).position(|&byte| byte == b'\n') {
        Some(end) => Some(end + 1),
        None if bytes.len() >= LONGEST => Some(LONGEST),
        None => None,
    }
}

fn encode(stream: Stream, line: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let time = rfc3339(Timestamp::from_system(SystemTime::now()));
    let entry = Entry { log: String::from_utf8_lossy(line), stream: name.into(), time: time.into() };
    serde_json::to_writer(&mut *out, &entry)?;
    out.push(b'\n');
    Ok(())
}

/// A line of the file; `None` for one that a crash cut short.
fn decode(text: &str) -> Option<Line> {
    let entry: Entry<'_> = serde_json::from_str(text).ok()?;
    let stream = if entry.stream == "stderr" { Stream::Stderr } else { Stream::Stdout };
    Some(Line { time: parse_rfc3339(&entry.time)?, stream, text: entry.log.into_owned() })
}

/// Gives the lines of a container's log that are there, oldest first, until `sink` has enough and says false.
///
/// # Errors
/// What the file system says.
pub fn read(dir: &Path, filter: &LogFilter, sink: &mut dyn FnMut(Line) -> bool) -> Result<()> {
    let mut reader = Reader::open(dir)?;
    reader.pass(filter, sink).map(|_| ())
}

/// As [`read`], and then gives further lines as they come, for as long as `alive` says that some may come.
///
/// # Errors
/// What the file system says.
pub fn follow(
    dir: &Path,
    filter: &LogFilter,
    alive: &dyn Fn() -> bool,
    sink: &mut dyn FnMut(Line) -> bool,
) -> Result<()> {
    let mut reader = Reader::open(dir)?;
    if !reader.pass(filter, sink)? {
        return Ok(());
    }
    let rest = LogFilter { tail: None, ..*filter };
    loop {
        // Asked before reading: what was written before the end is read after it.
        let more = alive();
        if !reader.pass(&rest, sink)? || !more {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
}

/// Reads on where it stopped.
struct Reader {
    path: PathBuf,
    /// Files still to be read whole, oldest first, and then the one that is being written.
    files: VecDeque<(PathBuf, BufReader<File>)>,
    cut: String,
}

impl Reader {
    fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let mut files = VecDeque::new();
        for number in 0.. {
            let file = numbered(&path, number);
            match File::open(&file) {
                Ok(open) => files.push_front((file, BufReader::new(open))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(Error::io("open", file)(error)),
            }
        }
        Ok(Self { path, files, cut: String::new() })
    }

    /// Gives what is there now; whether more is wanted.
    fn pass(&mut self, filter: &LogFilter, sink: &mut dyn FnMut(Line) -> bool) -> Result<bool> {
        let mut last = VecDeque::new();
        let Some(tail) = filter.tail else {
            return self.lines(&mut |line| !filter.takes(&line) || sink(line));
        };
        self.lines(&mut |line| {
            if filter.takes(&line) {
                last.push_back(line);
                if last.len() > tail {
                    last.pop_front();
                }
            }
            true
        })?;
        Ok(last.into_iter().all(sink))
    }

    fn lines(&mut self, sink: &mut dyn FnMut(Line) -> bool) -> Result<bool> {
        loop {
            let Some((path, file)) = self.files.front_mut() else { return self.next_file() };
            match file.read_line(&mut self.cut) {
                // Not whole yet.
                Ok(_) if !self.cut.ends_with('\n') => {
                    if !self.next_file()? || self.files.len() < 2 {
                        return Ok(true);
                    }
                    self.files.pop_front();
                    self.cut.clear();
                }
                Ok(_) => {
                    let line = decode(&self.cut);
                    self.cut.clear();
                    if line.is_some_and(|line| !sink(line)) {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(Error::io("read", path.clone())(error)),
            }
        }
    }

    /// At the end of a file: was another one begun, or this one emptied?
    fn next_file(&mut self) -> Result<bool> {
        let stat = match fs::metadata(&self.path) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(Error::io("examine", &self.path)(error)),
        };
        if self.files.len() > 1 {
            return Ok(true);
        }
        let failed = || Error::io::<io::Error>("read", self.path.clone());
        if let Some((_, file)) = self.files.front_mut() {
            let own = file.get_ref().metadata().map_err(failed())?;
            if own.ino() == stat.ino() {
                if stat.len() < file.stream_position().map_err(failed())? {
                    file.seek(SeekFrom::Start(0)).map_err(failed())?;
                    self.cut.clear();
                }
                return Ok(true);
            }
        }
        let file = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        self.files.push_back((self.path.clone(), BufReader::new(file)));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dir: &Path, filter: &LogFilter) -> Vec<String> {
        let mut lines = Vec::new();
        read(dir, filter, &mut |line| {
            lines.push(line.text);
            true
        })
        .unwrap();
        lines
    }

    #[test]
    fn lines_are_whole_whatever_the_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open(dir.path(), &LogOptions::default()).unwrap();
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"err\n").unwrap();
        log.write(Stream::Stdout, b"o\n\xff\n").unwrap();
        log.write(Stream::Stdout, &[b'x'; LONGEST + 1]).unwrap();
        log.finish().unwrap();
        let lines = all(dir.path(), &LogFilter::default());
        assert_eq!(lines[..4], ["one\n", "err\n", "two\n", "\u{fffd}\n"]);
        assert_eq!((lines[4].len(), lines[5].as_str()), (LONGEST, "x"));
        assert_eq!(all(dir.path(), &LogFilter { tail: Some(1), ..LogFilter::default() }), ["x"]);
        let later = Timestamp(u64::MAX);
        assert!(all(dir.path(), &LogFilter { since: Some(later), ..LogFilter::default() }).is_empty());
    }

    #[test]
    fn files_are_rotated_and_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { off: false, max_size: Some(200), max_files: Some(3) };
        let mut log = LogWriter::open(dir.path(), &options).unwrap();
        for number in 0..9 {
            log.write(Stream::Stdout, format!("line {number}\n").as_bytes()).unwrap();
        }
        let lines = all(dir.path(), &LogFilter::default());
        assert_eq!(lines.last().unwrap(), "line 8\n");
        assert!(lines.len() > 2 && lines.is_sorted(), "{lines:?}");
        assert!(dir.path().join("log.2").exists() && !dir.path().join("log.3").exists());
    }

    #[test]
    fn a_follower_sees_what_comes_across_rotations() {
        for max_files in [1, 3] {
            let dir = tempfile::tempdir().unwrap();
            let options = LogOptions { off: false, max_size: Some(400), max_files: Some(max_files) };
            let mut log = LogWriter::open(dir.path(), &options).unwrap();
            log.write(Stream::Stdout, b"00\n").unwrap();
            let (tell, told) = std::sync::mpsc::channel::<()>();
            let path = dir.path().to_owned();
            let reading = thread::spawn(move || {
                let alive = || told.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected);
                let mut lines = Vec::new();
                follow(&path, &LogFilter::default(), &alive, &mut |line| {
                    lines.push(line.text);
                    true
                })
                .unwrap();
                lines
            });
            for number in 1..12 {
                thread::sleep(3 * LOOK);
                log.write(Stream::Stdout, format!("{number:02}\n").as_bytes()).unwrap();
            }
            drop(tell);
            let expected: Vec<_> = (0..12).map(|number| format!("{number:02}\n")).collect();
            assert_eq!(reading.join().unwrap(), expected, "{max_files} files");
        }
    }

    #[test]
    fn a_line_that_a_crash_cut_short_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join(FILE),
            "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}\n{\"lo",
        )
        .unwrap();
        assert_eq!(all(dir.path(), &LogFilter::default()), ["a\n"]);
        assert!(all(&dir.path().join("none"), &LogFilter::default()).is_empty());
    }
}
