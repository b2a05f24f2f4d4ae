use std::fmt;

/// What is wrong with a Dockerfile, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub message: String,
    /// What to do, where that can be said.
    pub hint: Option<String>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Characters that are meant; at least 1.
    pub width: usize,
    /// The line itself.
    pub text: String,
    /// The file's name, as far as it is known.
    pub file: String,
}

impl Diagnostic {
    /// The same for a file of this name.
    #[must_use]
    pub fn in_file(mut self, name: &str) -> Self {
        name.clone_into(&mut self.file);
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `Dockerfile:3:5: message`, the line, a caret below the word, and the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 120;
        writeln!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        // A long line is shown around the place that is meant.
        let start = self.column.saturating_sub(SHOWN / 2).saturating_sub(1);
        let start = if self.text.chars().count() <= SHOWN { 0 } else { start };
        let shown: String =
            self.text.chars().skip(start).take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
        writeln!(f, "{:>5} | {shown}", self.line)?;
        let before = (self.column - 1).saturating_sub(start);
        let room = shown.chars().count().saturating_sub(before).max(1);
        write!(f, "      | {}{}", " ".repeat(before), "^".repeat(self.width.clamp(1, room)))?;
        if let Some(hint) = &self.hint {
            write!(f, "\n      = {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
