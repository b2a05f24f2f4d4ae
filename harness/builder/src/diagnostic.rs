use std::fmt;

/// What is wrong with a Dockerfile, and where.
///
/// Printed with the line and a caret below the words that are meant:
///
/// ```text
/// Dockerfile:3:1: unknown instruction RNU; did you mean RUN?
///   3 | RNU make
///     | ^^^
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    file: String,
    line: usize,
    column: usize,
    text: String,
    width: usize,
    message: String,
    hint: Option<String>,
}

/// Longer lines are cut around the words that are meant.
const MOST_SHOWN: usize = 160;

impl Diagnostic {
    pub(crate) fn new(file: &str, line: usize, column: usize, text: &str, width: usize, message: String) -> Self {
        let (file, text) = (file.to_owned(), text.to_owned());
        Self(Box::new(Parts { file, line, column, text, width, message, hint: None }))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what to do about it, if that is known.
    #[must_use]
    pub fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The file's name as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The character of the line, counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The place and what is wrong, in one line without the excerpt.
    #[must_use]
    pub fn headline(&self) -> String {
        let Parts { file, line, column, message, hint, .. } = &*self.0;
        match hint {
            Some(hint) => format!("{file}:{line}:{column}: {message}; {hint}"),
            None => format!("{file}:{line}:{column}: {message}"),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        let Parts { line, column, text, width, .. } = &*self.0;
        let long = text.chars().count() > MOST_SHOWN;
        let skip = if long { column.saturating_sub(MOST_SHOWN / 4) } else { 0 };
        let shown: String = text.chars().skip(skip).take(MOST_SHOWN).map(printable).collect();
        let before = column.saturating_sub(1 + skip);
        let room = shown.chars().count().saturating_sub(before).max(1);
        let (indent, carets) = (" ".repeat(before), "^".repeat((*width).clamp(1, room)));
        let number = line.to_string();
        write!(f, "\n  {number} | {shown}\n  {:1$} | {indent}{carets}", "", number.len())
    }
}

impl std::error::Error for Diagnostic {}

/// Control characters would move the caret, or change the terminal's colours.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use crate::source::{Source, Span};

    #[test]
    fn shows_the_line_and_a_caret() {
        let source = Source::new("Dockerfile", b"FROM a\nRUN\tmake x\n").unwrap();
        let error = source.error(Span::new(11, 15), "no such thing").hint("did you mean cmake?");
        let expected = "Dockerfile:2:5: no such thing; did you mean cmake?\n  2 | RUN make x\n    |     ^^^^";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn long_lines_are_cut_around_the_word() {
        let text = format!("RUN {} here {}", "x".repeat(500), "y".repeat(500));
        let source = Source::new("Dockerfile", text.as_bytes()).unwrap();
        let at = text.find("here").unwrap();
        let shown = source.error(Span::new(at, at + 4), "m").to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].find("here"), lines[2].find("^^^^"));
        assert!(lines[1].len() < 200);
    }
}
