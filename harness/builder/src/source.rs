use std::{ops::Range, sync::Arc};

use crate::{Diagnostic, Error};

/// Bytes `start..end` of a Dockerfile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The bytes of a range.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// A part of this span, cut to it.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Self {
        let start = (self.start + range.start).min(self.end);
        Self { start, end: (self.start + range.end).clamp(start, self.end) }
    }
}

/// The text of a Dockerfile and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// Takes the text; a byte order mark at its start is dropped.
    ///
    /// # Errors
    /// A diagnostic at the first byte that is not UTF-8.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Self, Diagnostic> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { name: name.into(), text: text.into() }),
            Err(error) => {
                let valid = error.valid_up_to();
                let source = Self { name: name.into(), text: String::from_utf8_lossy(bytes).into() };
                let byte = bytes.get(valid).copied().unwrap_or_default();
                Err(source.error(Span::new(valid, valid + 1), format!("the byte 0x{byte:02x} is not UTF-8")))
            }
        }
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file's name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a span; empty for one that is not of this source.
    #[must_use]
    pub fn get(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The line and the column of a byte, both counted from 1; columns are characters.
    #[must_use]
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let (start, number) = self.line_start(byte);
        let column = self.text.get(start..floor(&self.text, byte)).map_or(0, |before| before.chars().count());
        (number, column + 1)
    }

    /// A diagnostic about a span.
    #[must_use]
    pub fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        let (line, column) = self.position(span.start);
        let (start, _) = self.line_start(span.start);
        let text = self.text.get(start..).unwrap_or_default();
        let text = text.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let from = floor(&self.text, span.start);
        let to = floor(&self.text, span.end).clamp(from, start + text.len().max(from.saturating_sub(start)));
        let width = self.text.get(from..to).map_or(0, |marked| marked.chars().count());
        Diagnostic::new(&self.name, line, column, text, width, message.into())
    }

    /// The same as a build error.
    #[must_use]
    pub fn refuse(&self, span: Span, message: impl Into<String>) -> Error {
        Error::Dockerfile(self.error(span, message))
    }

    fn line_start(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..floor(&self.text, byte)).unwrap_or_default();
        (before.rfind('\n').map_or(0, |at| at + 1), before.matches('\n').count() + 1)
    }
}

/// The start of the character that a byte belongs to.
fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_lines_and_characters() {
        let source = Source::new("Dockerfile", "FROM a\n# é\nRUN é x\r\n".as_bytes()).unwrap();
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(7), (2, 1));
        let x = source.text().find('x').unwrap();
        assert_eq!(source.position(x), (3, 7));
        assert_eq!(source.position(10_000), (4, 1));
    }

    #[test]
    fn any_span_of_any_source_can_be_shown() {
        let source = Source::new("f", "é\n\nab".as_bytes()).unwrap();
        for start in 0..8 {
            for end in 0..9 {
                assert!(!source.error(Span { start, end }, "m").to_string().is_empty());
            }
        }
    }

    #[test]
    fn what_is_not_utf8_is_pointed_at() {
        let error = Source::new("f", b"FROM a\nRUN \xff").unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 5));
    }
}
