use super::lines::{Lines, Physical};
use crate::{
    Diagnostic,
    dockerfile::{Directives, Word},
    source::{Source, Span},
};

const KNOWN: [&str; 3] = ["check", "escape", "syntax"];

/// Reads the directives, which end at the first line that is not of their form.
pub(super) struct Reader<'s> {
    source: &'s Source,
    found: Vec<(&'static str, Word)>,
}

impl<'s> Reader<'s> {
    pub fn new(source: &'s Source) -> Self {
        Self { source, found: Vec::new() }
    }

    pub fn read(mut self) -> Result<Directives, Diagnostic> {
        let mut lines = Lines::new(self.source.text());
        while let Some((name, value)) = lines.physical().and_then(directive) {
            // An unknown name is a comment, and more directives may follow.
            let Some(known) = KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name)) else { continue };
            if self.found.iter().any(|(earlier, _)| *earlier == known) {
                return Err(self.source.error(value.span, format!("the directive {known} is given twice")));
            }
            self.found.push((known, value));
        }
        let escape = self.escape()?;
        Ok(Directives { escape, syntax: self.take("syntax"), check: self.take("check") })
    }

    fn escape(&mut self) -> Result<char, Diagnostic> {
        let Some(value) = self.take("escape") else { return Ok('\\') };
        match value.text.as_str() {
            "\\" => Ok('\\'),
            "`" => Ok('`'),
            _ => Err(self.source.error(value.span, "the escape character can be \\ or ` only")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Word> {
        let at = self.found.iter().position(|(found, _)| *found == name)?;
        Some(self.found.swap_remove(at).1)
    }
}

/// `# name = value`
fn directive(line: Physical<'_>) -> Option<(&str, Word)> {
    let (name, value) = line.text.trim_start().strip_prefix('#')?.split_once('=')?;
    let (name, text) = (name.trim(), value.trim());
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric());
    if !is_name || text.is_empty() {
        return None;
    }
    let after = line.text.len() - value.len() + (value.len() - value.trim_start().len());
    let span = Span::new(line.start + after, line.start + after + text.len());
    Some((name, Word { text: text.to_owned(), span }))
}
