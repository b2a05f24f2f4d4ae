//! What the guest's kernel and QEMU itself say, kept for the case that something fails.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use crate::{Error, Result};

/// A file that is read when it is needed; it may have been removed meanwhile.
#[derive(Debug)]
pub struct Console(File);

const LAST_LINES: usize = 12;
const LAST_BYTES: u64 = 64 * 1024;
/// What follows it, registers and a stack, is for kernel hackers; what precedes it says what happened.
const PANIC: &str = "Kernel panic";

impl Console {
    pub fn create(path: &Path) -> Result<Self> {
        let open = File::options().read(true).append(true).create_new(true).open(path);
        open.map(Self).map_err(Error::io("create", path))
    }

    /// The same file for another writer.
    pub fn writer(&self, path: &Path) -> Result<File> {
        self.0.try_clone().map_err(Error::io("open", path))
    }

    /// Its last lines, in printable characters; what cannot be read is as good as silence.
    pub fn last_lines(&mut self) -> String {
        let length = self.0.seek(SeekFrom::End(0)).unwrap_or(0);
        let mut bytes = Vec::new();
        let _ = self.0.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)));
        let _ = (&mut self.0).take(LAST_BYTES).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = text.lines().map(printable).filter(|line| !line.is_empty()).collect();
        let end = lines.iter().position(|line| line.contains(PANIC)).map_or(lines.len(), |panic| panic + 1);
        lines.truncate(end);
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

/// Firmware paints its screen with escape sequences.
fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).collect::<String>().trim_end().to_owned()
}
