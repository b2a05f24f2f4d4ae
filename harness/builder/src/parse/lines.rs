//! Logical lines: physical ones joined at the escape character, comments left out.

use std::ops::Range;

use crate::source::Span;

/// Goes through a Dockerfile line by line.
#[derive(Debug)]
pub(super) struct Lines<'s> {
    text: &'s str,
    at: usize,
    /// Empty lines within logical ones.
    pub empty: Vec<Span>,
}

/// A physical line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Physical<'s> {
    /// Where it starts.
    pub start: usize,
    /// Without its end.
    pub text: &'s str,
    /// With its end.
    pub whole: &'s str,
}

impl Physical<'_> {
    pub fn span(&self) -> Span {
        Span::new(self.start, self.start + self.text.len())
    }

    fn is_comment(&self) -> bool {
        self.text.trim_start().starts_with('#')
    }
}

impl<'s> Lines<'s> {
    pub fn new(text: &'s str) -> Self {
        Self { text, at: 0, empty: Vec::new() }
    }

    /// The next physical line.
    pub fn physical(&mut self) -> Option<Physical<'s>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let whole = rest.split_inclusive('\n').next().unwrap_or(rest);
        let start = self.at;
        self.at += whole.len();
        Some(Physical { start, text: whole.trim_end_matches(['\n', '\r']), whole })
    }

    /// The next logical line that is neither empty nor a comment.
    pub fn logical(&mut self, escape: char) -> Option<Logical> {
        loop {
            let first = self.physical()?;
            if first.is_comment() || first.text.trim().is_empty() {
                continue;
            }
            let mut line = Logical::default();
            let indent = first.text.len() - first.text.trim_start().len();
            let mut more = line.add(first.start + indent, first.text.trim_start(), escape);
            while more {
                let Some(next) = self.physical() else { break };
                if next.text.trim().is_empty() {
                    self.empty.push(next.span());
                }
                if next.is_comment() || next.text.trim().is_empty() {
                    continue;
                }
                more = line.add(next.start, next.text, escape);
            }
            if !line.text.trim().is_empty() {
                return Some(line);
            }
        }
    }
}

/// A logical line, and where its pieces came from.
#[derive(Debug, Default)]
pub(super) struct Logical {
    /// The joined text.
    pub text: String,
    /// Offsets in `text` and in the file at which pieces start.
    pieces: Vec<(usize, usize)>,
}

impl Logical {
    /// Adds a physical line; true when it is continued.
    fn add(&mut self, start: usize, line: &str, escape: char) -> bool {
        let (kept, more) = match continued(line, escape) {
            Some(kept) => (kept, true),
            None => (line, false),
        };
        self.pieces.push((self.text.len(), start));
        self.text.push_str(kept);
        more
    }

    /// The place of a part of the text.
    pub fn span(&self, range: Range<usize>) -> Span {
        let start = self.place(range.start);
        let end = if range.end > range.start { self.place(range.end - 1) + 1 } else { start };
        Span::new(start, end)
    }

    /// The place of all that is not space around it.
    pub fn whole(&self) -> Span {
        let start = self.text.len() - self.text.trim_start().len();
        self.span(start..self.text.trim_end().len().max(start))
    }

    /// A part of the line as a line of its own.
    pub fn tail(&self, from: usize) -> Self {
        let text = self.text.get(from..).unwrap_or_default().to_owned();
        let end = self.pieces.partition_point(|(at, _)| *at <= from);
        let mut pieces = vec![(0, self.place(from))];
        pieces.extend(self.pieces.iter().skip(end).map(|(at, place)| (at - from, *place)));
        Self { text, pieces }
    }

    fn place(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        self.pieces.get(piece).map_or(0, |(start, place)| place + (at - start.min(&at)))
    }
}

/// What is before an escape character at the end of a line; spaces after it do not count, and two of them are no
/// continuation.
fn continued(line: &str, escape: char) -> Option<&str> {
    let kept = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!kept.ends_with(escape)).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, escape: char) -> Vec<String> {
        let mut lines = Lines::new(text);
        std::iter::from_fn(|| lines.logical(escape)).map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_joined_as_docker_joins_them() {
        assert_eq!(all("FROM a\n\n  RUN b \\\n  c\n", '\\'), ["FROM a", "RUN b   c"]);
        assert_eq!(all("RUN a \\  \n# comment\n\n   # another\n  b\n", '\\'), ["RUN a   b"]);
        assert_eq!(all("RUN a \\\\\nRUN b", '\\'), ["RUN a \\\\", "RUN b"]);
        assert_eq!(all("RUN a `\nb\\\nRUN c", '`'), ["RUN a b\\", "RUN c"]);
        assert_eq!(all("RUN a\\\r\nb\r\nX", '\\'), ["RUN ab", "X"]);
        assert_eq!(all("\\\n\\\nRUN a \\", '\\'), ["RUN a "]);
        assert!(all("# c\n\n \\\n", '\\').is_empty());
    }

    #[test]
    fn every_part_knows_its_place() {
        let text = "RUN one \\\n  # no\n  two";
        let line = Lines::new(text).logical('\\').unwrap();
        let at = line.text.find("two").unwrap();
        let span = line.span(at..at + 3);
        assert_eq!(&text[span.start..span.end], "two");
        let tail = line.tail(4);
        let at = tail.text.find("two").unwrap();
        assert_eq!(tail.span(at..at + 3), span);
        let at = tail.text.find("one").unwrap();
        assert_eq!(tail.span(at..at + 3), Span::new(4, 7));
    }
}
