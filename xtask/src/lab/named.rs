//! Lines that say whose they are, for two that write at the same time.

use std::io::{self, Write};

/// Puts a name before each line. A line is written at once when it is complete; a last one without an end gets one.
#[derive(Debug)]
pub struct Named<W: Write> {
    name: &'static str,
    line: Vec<u8>,
    inner: W,
}

impl<W: Write> Named<W> {
    pub const fn new(name: &'static str, inner: W) -> Self {
        Self { name, line: Vec::new(), inner }
    }
}

impl<W: Write> Write for Named<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = [self.name.as_bytes(), b": ", &std::mem::take(&mut self.line)].concat();
                self.inner.write_all(&line)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Drop for Named<W> {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            // Nobody could be told.
            _ = self.write(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_name_however_they_come() {
        let mut written = Vec::new();
        let mut named = Named::new("a", &mut written);
        for piece in ["on", "e\ntwo\n", "thr"] {
            named.write_all(piece.as_bytes()).unwrap();
        }
        drop(named);
        assert_eq!(String::from_utf8(written).unwrap(), "a: one\na: two\na: thr\n");
    }
}
