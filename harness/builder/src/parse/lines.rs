//! Logical lines: continuations joined, comments dropped, here-documents attached, places remembered.

use crate::{Diagnostic, Place};

/// A piece of a logical line: its text, and where it starts in it, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub start: usize,
}

/// One physical line that takes part in a logical one.
#[derive(Debug)]
struct Part {
    number: usize,
    /// The whole physical line.
    text: String,
    /// Where its contribution starts in the logical line, in bytes.
    start: usize,
}

/// One logical line.
#[derive(Debug)]
pub struct Line {
    text: String,
    parts: Vec<Part>,
    heredocs: Vec<(String, String)>,
    escape: char,
}

/// All logical lines of a file.
#[derive(Debug)]
pub struct Lines<'a> {
    physical: std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>,
    pub escape: char,
}

impl<'a> Lines<'a> {
    /// Reads the parser directives: comments of the form `# name=value` at the very top.
    pub fn new(text: &'a str) -> Result<Self, Diagnostic> {
        let mut escape = '\\';
        for (number, line) in text.lines().enumerate() {
            let Some((name, value)) = line.trim().strip_prefix('#').and_then(|comment| comment.split_once('=')) else {
                break;
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "escape" => match value {
                    "\\" => escape = '\\',
                    "`" => escape = '`',
                    _ => {
                        let place =
                            Place { line: number + 1, column: 1, width: line.chars().count(), text: line.to_owned() };
                        return Err(place.wrong("the escape character is \\ or `"));
                    }
                },
                "syntax" | "check" => {}
                // An ordinary comment ends the directives.
                _ => break,
            }
        }
        Ok(Self { physical: text.lines().enumerate().peekable(), escape })
    }

    fn is_comment(line: &str) -> bool {
        line.trim_start().starts_with('#')
    }

    /// The line without its continuation mark, if it has one.
    fn continued<'l>(&self, line: &'l str) -> Option<&'l str> {
        line.trim_end().strip_suffix(self.escape)
    }

    fn read_heredocs(&mut self, line: &mut Line) -> Result<(), Diagnostic> {
        let name = line.name().text.to_ascii_uppercase();
        if !matches!(name.as_str(), "RUN" | "COPY" | "ADD") {
            return Ok(());
        }
        for (delimiter, strip_tabs) in delimiters(&line.text) {
            let mut body = String::new();
            loop {
                let Some((_, text)) = self.physical.next() else {
                    let place = line.place(&line.name());
                    return Err(place.wrong(format!("the here-document <<{delimiter} does not end")));
                };
                let text = if strip_tabs { text.trim_start_matches('\t') } else { text };
                if text == delimiter {
                    break;
                }
                body.push_str(text);
                body.push('\n');
            }
            line.heredocs.push((delimiter, body));
        }
        Ok(())
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Line, Diagnostic>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Line { text: String::new(), parts: Vec::new(), heredocs: Vec::new(), escape: self.escape };
        loop {
            let Some((number, text)) = self.physical.next() else {
                // A continuation at the end of the file ends there.
                return if line.text.trim().is_empty() { None } else { Some(Ok(line)) };
            };
            // Comments and empty lines within a continuation are dropped, as docker does.
            if Self::is_comment(text) || text.trim().is_empty() {
                continue;
            }
            line.parts.push(Part { number: number + 1, text: text.to_owned(), start: line.text.len() });
            match self.continued(text) {
                Some(text) => line.text.push_str(text),
                None => {
                    line.text.push_str(text);
                    break;
                }
            }
        }
        let read = self.read_heredocs(&mut line);
        Some(read.map(|()| line))
    }
}

/// `<<EOF`, `<<-EOF`, `<<"EOF"` that are words of their own; whether tabs are stripped.
fn delimiters(text: &str) -> Vec<(String, bool)> {
    let word = |word: &str| {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
        let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let name = rest.trim_matches(['"', '\'']);
        let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        valid.then(|| (name.to_owned(), strip_tabs))
    };
    text.split_whitespace().filter_map(word).collect()
}

impl Line {
    /// The instruction's name.
    pub fn name(&self) -> Span {
        let start = self.text.len() - self.text.trim_start().len();
        let text = self.text[start..].split_whitespace().next().unwrap_or_default().to_owned();
        Span { text, start }
    }

    /// What follows the name.
    pub fn rest(&self) -> Span {
        let name = self.name();
        let after = name.start + name.text.len();
        let start = self.text.len() - self.text[after..].trim_start().len();
        Span { text: self.text[start..].to_owned(), start }
    }

    /// The words of a piece, by white space.
    pub fn words(&self, of: &Span) -> Vec<Span> {
        let mut words = Vec::new();
        let mut start = None;
        for (at, c) in of.text.char_indices().chain([(of.text.len(), ' ')]) {
            match (c.is_whitespace(), start) {
                (false, None) => start = Some(at),
                (true, Some(from)) => {
                    words.push(Span { text: of.text[from..at].to_owned(), start: of.start + from });
                    start = None;
                }
                _ => {}
            }
        }
        words
    }

    /// Where a piece stands in the file.
    pub fn place(&self, span: &Span) -> Place {
        let Some(part) = self.parts.iter().rev().find(|part| part.start <= span.start) else { return Place::default() };
        let offset = (span.start - part.start).min(part.text.len());
        let column = part.text.get(..offset).map_or(0, |before| before.chars().count()) + 1;
        let first_line = span.text.chars().count().min(part.text.chars().count().saturating_sub(column - 1));
        Place { line: part.number, column, width: first_line.max(1), text: part.text.clone() }
    }

    /// The instruction on one line, white space folded.
    pub fn one_line(&self) -> String {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub const fn escape(&self) -> char {
        self.escape
    }

    pub fn heredocs(&self) -> Vec<&str> {
        self.heredocs.iter().map(|(delimiter, _)| delimiter.as_str()).collect()
    }

    /// A shell line with its here-documents behind it, which the shell reads itself; a line that is nothing but one
    /// here-document is its text.
    pub fn with_heredocs(&self, text: &str) -> String {
        match self.heredocs.as_slice() {
            [] => text.to_owned(),
            [(_, body)] if text.split_whitespace().count() == 1 => body.clone(),
            many => {
                let mut script = text.to_owned();
                for (delimiter, body) in many {
                    script.push('\n');
                    script.push_str(body);
                    script.push_str(delimiter);
                }
                script.push('\n');
                script
            }
        }
    }
}
