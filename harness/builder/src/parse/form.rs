//! Forms that several instructions share: lists, flags, pairs.

use super::lines::{Line, Span};
use crate::Diagnostic;

/// A JSON list of strings, or anything else.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    List(Vec<String>),
    Text,
}

impl Form {
    pub fn read(text: &str) -> Self {
        if !text.starts_with('[') {
            return Self::Text;
        }
        serde_json::from_str(text).map_or(Self::Text, Self::List)
    }
}

/// Flags and their values.
pub type Flags = Vec<(String, String)>;

/// Reads the leading `--name=value` words; the answer has what follows them.
pub fn flags(line: &Line, known: &[&str], not_yet: &[&str]) -> Result<(Flags, Span), Diagnostic> {
    let mut rest = line.rest();
    let mut found: Flags = Vec::new();
    while let Some(word) = line.words(&rest).first().filter(|word| word.text.starts_with("--")) {
        let place = line.place(word);
        let (name, value) = word.text[2..].split_once('=').unwrap_or((&word.text[2..], ""));
        if not_yet.contains(&name) {
            return Err(place.wrong(format!("the flag --{name} is not supported yet")));
        }
        if !known.contains(&name) {
            let there_are = known.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ");
            let hint =
                if there_are.is_empty() { "it has no flags".to_owned() } else { format!("there are {there_are}") };
            return Err(place.wrong_with(format!("unknown flag --{name}"), hint));
        }
        if value.is_empty() {
            return Err(place.wrong_with(format!("the flag --{name} needs a value"), format!("--{name}=VALUE")));
        }
        if found.iter().any(|(known, _)| known == name) {
            return Err(place.wrong(format!("the flag --{name} is given twice")));
        }
        found.push((name.to_owned(), value.to_owned()));
        let after = word.start + word.text.len() - rest.start;
        let start = after + (rest.text[after..].len() - rest.text[after..].trim_start().len());
        rest = Span { text: rest.text[start..].to_owned(), start: rest.start + start };
    }
    Ok((found, rest))
}

/// Words that may hold quoted white space; quotes stay for the expansion to take away.
fn quoted_words(line: &Line, rest: &Span) -> Result<Vec<Span>, Diagnostic> {
    let mut words: Vec<Span> = Vec::new();
    let mut word: Option<Span> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut chars = rest.text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let current = word.get_or_insert_with(|| Span { text: String::new(), start: rest.start + at });
        current.text.push(c);
        match quote {
            Some((open, _)) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some((c, at)),
            // Single quotes make everything plain.
            Some(('\'', _)) => {}
            _ if c == line.escape() => current.text.extend(chars.next().map(|(_, c)| c)),
            _ => {}
        }
    }
    if let Some((open, at)) = quote {
        let span = Span { text: open.to_string(), start: rest.start + at };
        return Err(line.place(&span).wrong(format!("this {open} is not closed")));
    }
    words.extend(word);
    Ok(words)
}

/// `NAME=VALUE ...`, or the old form `NAME VALUE`.
pub fn pairs(line: &Line, rest: &Span) -> Result<Vec<(String, String)>, Diagnostic> {
    let words = quoted_words(line, rest)?;
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.text.contains('=') {
        let text = rest.text.trim();
        let value = text[first.text.len().min(text.len())..].trim();
        if value.is_empty() {
            return Err(line.place(first).wrong_with(format!("{} has no value", first.text), "NAME=VALUE"));
        }
        return Ok(vec![(first.text.clone(), value.to_owned())]);
    }
    let pair = |word: Span| match word.text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(line.place(&word).wrong_with(format!("{} is not NAME=VALUE", word.text), "quote values with spaces")),
    };
    words.into_iter().map(pair).collect()
}

/// `NAME` or `NAME=DEFAULT`, one or more.
pub fn arguments(line: &Line, rest: &Span) -> Result<Vec<(String, Option<String>)>, Diagnostic> {
    let argument = |word: Span| {
        let (name, default) = match word.text.split_once('=') {
            Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
            None => (word.text.clone(), None),
        };
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if valid {
            Ok((name, default))
        } else {
            Err(line.place(&word).wrong(format!("{name:?} is no name for an ARG")))
        }
    };
    quoted_words(line, rest)?.into_iter().map(argument).collect()
}
