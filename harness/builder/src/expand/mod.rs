//! Variables, quotes and escapes in words, as BuildKit's front end treats them.

mod pattern;

use self::pattern::Pattern;
use crate::{dockerfile::Word, source::Span};

/// Deeper `${a:-${b:-...}}` is refused, so that no input exhausts the stack.
const DEEPEST: usize = 64;

/// Where variables are looked up.
pub(crate) trait Variables {
    /// The value; `None` when it is not set.
    fn get(&self, name: &str) -> Option<&str>;

    /// Hears of a name that is not set where nothing stands in for it.
    fn missed(&self, _name: &str) {}
}

/// No variable is set.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Variables for Nothing {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

impl Variables for std::collections::BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        Self::get(self, name).map(String::as_str)
    }
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unexpandable {
    /// The byte of the word at which the trouble begins.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

impl Unexpandable {
    /// The place in the Dockerfile, where `word` was written.
    pub fn place(&self, word: &Word) -> Span {
        word.span.part(self.at..word.text.len().max(self.at + 1))
    }
}

/// How words are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Takes the meaning of the character after it.
    pub escape: char,
    /// Quotes stay.
    pub raw_quotes: bool,
    /// Escape characters stay.
    pub raw_escapes: bool,
    /// Quotes are characters like any other.
    pub ignore_quotes: bool,
    /// Variables that are not set stay as they are written.
    pub keep_unset: bool,
}

impl Reading {
    /// Expands everything and drops quotes and escapes.
    pub const fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, ignore_quotes: false, keep_unset: false }
    }

    /// For the lines of a heredoc, where quotes mean nothing.
    pub const fn heredoc() -> Self {
        Self { ignore_quotes: true, ..Self::new('\\') }
    }

    /// Expands a word into one word.
    pub fn word(&self, text: &str, variables: &dyn Variables) -> Result<String, Unexpandable> {
        self.read(text, variables).map(|both| both.0)
    }

    /// Expands a word and cuts the result at spaces that were not quoted.
    pub fn words(&self, text: &str, variables: &dyn Variables) -> Result<Vec<String>, Unexpandable> {
        self.read(text, variables).map(|both| both.1)
    }

    fn read(&self, text: &str, variables: &dyn Variables) -> Result<(String, Vec<String>), Unexpandable> {
        let mut reader = Reader { how: *self, variables, text, at: 0, depth: 0 };
        reader.until(None, self.raw_escapes)
    }
}

struct Reader<'a> {
    how: Reading,
    variables: &'a dyn Variables,
    text: &'a str,
    at: usize,
    depth: usize,
}

/// The words of an expansion, as they grow.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    /// A character that ends a word if it is a space.
    fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn error<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Unexpandable> {
        Err(Unexpandable { at, message: message.into() })
    }

    /// Reads to the end, or to an unquoted `stop`, which is consumed.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>), Unexpandable> {
        let (mut result, mut words) = (String::new(), Words::default());
        let begin = self.at;
        let before = std::mem::replace(&mut self.how.raw_escapes, raw_escapes);
        while let Some(c) = self.peek() {
            match c {
                c if Some(c) == stop => {
                    self.next();
                    self.how.raw_escapes = before;
                    return Ok((result, words.finish()));
                }
                '$' => {
                    let value = self.dollar()?;
                    result.push_str(&value);
                    value.chars().for_each(|c| words.push(c));
                }
                '\'' | '"' if !self.how.ignore_quotes => {
                    let value = if c == '"' { self.double_quotes()? } else { self.single_quotes()? };
                    result.push_str(&value);
                    words.word.push_str(&value);
                }
                c if c == self.how.escape => {
                    self.next();
                    let escaped = self.next();
                    // At the end of a word it escapes nothing.
                    for kept in self.how.raw_escapes.then_some(c).into_iter().chain(escaped) {
                        result.push(kept);
                        words.word.push(kept);
                    }
                }
                c => {
                    self.next();
                    result.push(c);
                    words.push(c);
                }
            }
        }
        self.how.raw_escapes = before;
        match stop {
            Some(stop) => self.error(begin, format!("missing {stop:?}")),
            None => Ok((result, words.finish())),
        }
    }

    fn single_quotes(&mut self) -> Result<String, Unexpandable> {
        let begin = self.at;
        self.next();
        let inside = self.text.get(self.at..).unwrap_or_default();
        let Some(length) = inside.find('\'') else { return self.error(begin, "this single quote is not closed") };
        self.at += length + 1;
        let from = if self.how.raw_quotes { begin..self.at } else { begin + 1..self.at - 1 };
        Ok(self.text.get(from).unwrap_or_default().to_owned())
    }

    fn double_quotes(&mut self) -> Result<String, Unexpandable> {
        let begin = self.at;
        let mut result = String::new();
        self.next();
        if self.how.raw_quotes {
            result.push('"');
        }
        loop {
            match self.peek() {
                None => return self.error(begin, "this double quote is not closed"),
                Some('$') => result.push_str(&self.dollar()?),
                Some('"') => {
                    self.next();
                    if self.how.raw_quotes {
                        result.push('"');
                    }
                    return Ok(result);
                }
                Some(c) => {
                    self.next();
                    if c != self.how.escape {
                        result.push(c);
                        continue;
                    }
                    if self.how.raw_escapes {
                        result.push(c);
                    }
                    // It escapes these alone; before others it stands for itself.
                    match self.peek() {
                        None => {}
                        Some(next) if next == '"' || next == '$' || next == self.how.escape => {
                            self.next();
                            result.push(next);
                        }
                        Some(_) => result.push(c),
                    }
                }
            }
        }
    }

    fn dollar(&mut self) -> Result<String, Unexpandable> {
        let begin = self.at;
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            let value = self.variables.get(name);
            if value.is_none() {
                self.variables.missed(name);
            }
            return Ok(match value {
                Some(value) => value.to_owned(),
                None if self.how.keep_unset => format!("${name}"),
                None => String::new(),
            });
        }
        if self.depth == DEEPEST {
            return self.error(begin, format!("substitutions are nested more than {DEEPEST} deep"));
        }
        self.next();
        self.depth += 1;
        let value = self.braces(begin)?;
        self.depth -= 1;
        Ok(value)
    }

    /// After `${`.
    fn braces(&mut self, begin: usize) -> Result<String, Unexpandable> {
        if matches!(self.peek(), Some('{' | '}' | ':')) {
            return self.error(begin, "bad substitution: a variable's name belongs after \"${\"");
        }
        let name = self.name().to_owned();
        let value = self.variables.get(&name).map(str::to_owned);
        let Some(first) = self.next() else { return self.error(begin, "missing '}'") };
        if value.is_none() && matches!(first, '}' | '/' | '#' | '%') {
            self.variables.missed(&name);
        }
        if first == '}' {
            return Ok(match value {
                Some(value) => value,
                None if self.how.keep_unset => self.text.get(begin..self.at).unwrap_or_default().to_owned(),
                None => String::new(),
            });
        }
        if first == '/' {
            return self.replace(begin, value);
        }
        let null_is_unset = first == ':';
        let modifier = if null_is_unset { self.next() } else { Some(first) };
        let Some(modifier) = modifier.filter(|c| "+-?#%".contains(*c)) else {
            let colon = if null_is_unset { ":" } else { "" };
            let shown = modifier.map(String::from).unwrap_or_default();
            return self.error(begin, format!("unsupported modifier \"{colon}{shown}\" in a substitution"));
        };
        let (word, _) = self.until(Some('}'), "#%".contains(modifier)).map_err(|error| missing_brace(error, begin))?;
        if value.is_none() && self.how.keep_unset {
            return Ok(self.text.get(begin..self.at).unwrap_or_default().to_owned());
        }
        let given = value.as_ref().is_some_and(|value| !(null_is_unset && value.is_empty()));
        match modifier {
            '-' if given => Ok(value.unwrap_or_default()),
            '-' => Ok(word),
            '+' if given => Ok(word),
            '+' => Ok(String::new()),
            '?' if given => Ok(value.unwrap_or_default()),
            '?' => {
                let why = if value.is_none() { "is not allowed to be unset" } else { "is not allowed to be empty" };
                self.error(begin, format!("{name}: {}", if word.is_empty() { why } else { &word }))
            }
            _ => self.trim(begin, modifier, &word, &value.unwrap_or_default()),
        }
    }

    /// `${name#pattern}` and the like.
    fn trim(&self, begin: usize, modifier: char, word: &str, value: &str) -> Result<String, Unexpandable> {
        let (word, longest) = match word.strip_prefix(modifier) {
            Some(word) => (word, true),
            None => (word, false),
        };
        let pattern = Pattern::new(word).map_err(|message| Unexpandable { at: begin, message })?;
        Ok(match modifier {
            '#' => pattern.without_prefix(value, longest).to_owned(),
            _ => pattern.without_suffix(value, longest).to_owned(),
        })
    }

    /// `${name/pattern/replacement}` and `${name//pattern/replacement}`.
    fn replace(&mut self, begin: usize, value: Option<String>) -> Result<String, Unexpandable> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let (pattern, _) = self.until(Some('/'), true)?;
        let (replacement, _) = self.until(Some('}'), true).map_err(|error| missing_brace(error, begin))?;
        match value {
            None if self.how.keep_unset => Ok(self.text.get(begin..self.at).unwrap_or_default().to_owned()),
            None => Ok(String::new()),
            Some(value) => {
                let pattern = Pattern::new(&pattern).map_err(|message| Unexpandable { at: begin, message })?;
                Ok(pattern.replace(&value, &replacement, all))
            }
        }
    }

    /// A name, digits, or one of the shell's special parameters; empty when none of them is there.
    fn name(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = |wanted: fn(char) -> bool| rest.chars().take_while(|c| wanted(*c)).map(char::len_utf8).sum();
        let length: usize = match rest.chars().next() {
            Some(c) if c.is_numeric() => count(char::is_numeric),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => count(|c| c.is_alphanumeric() || c == '_'),
        };
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }
}

fn missing_brace(error: Unexpandable, begin: usize) -> Unexpandable {
    if error.message.starts_with("missing '}'") { Unexpandable { at: begin, ..error } } else { error }
}

#[cfg(test)]
mod tests;
