//! A template's words.

use super::{Error, Result};

/// A word, and what stands before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub what: What,
    /// Whether it follows the word before it without a space: `.A.B` is a field of a field, `.A .B` are two.
    pub glued: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Between actions.
    Text(String),
    Open,
    Close,
    /// A keyword, a function, `true`, `false` or `nil`.
    Name(String),
    /// `.Name`
    Field(String),
    Dot,
    /// `$name`, without the dollar.
    Variable(String),
    Constant(String),
    Int(i128),
    Float(f64),
    Pipe,
    Assign,
    Declare,
    Comma,
    LeftParen,
    RightParen,
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// Splits a template.
pub fn tokens(template: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = template;
    let mut trim = false;
    loop {
        let start = rest.find("{{");
        let mut text = start.map_or(rest, |start| &rest[..start]);
        if trim {
            text = text.trim_start_matches(BLANK);
        }
        let Some(start) = start else {
            push_text(&mut tokens, text);
            return Ok(tokens);
        };
        let mut inside = &rest[start + 2..];
        if let Some(after) = inside.strip_prefix('-').filter(|after| after.starts_with(BLANK)) {
            text = text.trim_end_matches(BLANK);
            inside = after;
        }
        push_text(&mut tokens, text);
        (rest, trim) = match comment(inside)? {
            Some(after) => after,
            None => action(inside, &mut tokens)?,
        };
    }
}

fn push_text(tokens: &mut Vec<Token>, text: &str) {
    if !text.is_empty() {
        tokens.push(Token { what: What::Text(text.to_owned()), glued: false });
    }
}

/// What follows `{{/* ... */}}`, and whether blanks are cut there.
fn comment(inside: &str) -> Result<Option<(&str, bool)>> {
    let Some(inside) = inside.trim_start_matches(BLANK).strip_prefix("/*") else { return Ok(None) };
    let end = inside.find("*/").ok_or_else(|| Error::new("a comment has no */"))?;
    closed(&inside[end + 2..]).map(Some).ok_or_else(|| Error::new("a comment ends with */}} or */ -}}"))
}

/// What follows `}}` or ` -}}`, and whether blanks are cut there.
fn closed(rest: &str) -> Option<(&str, bool)> {
    if let Some(after) = rest.strip_prefix("}}") {
        return Some((after, false));
    }
    let trimmed = rest.trim_start_matches(BLANK);
    (trimmed.len() < rest.len()).then(|| trimmed.strip_prefix("-}}")).flatten().map(|after| (after, true))
}

fn action<'a>(mut rest: &'a str, tokens: &mut Vec<Token>) -> Result<(&'a str, bool)> {
    tokens.push(Token { what: What::Open, glued: false });
    let mut glued = false;
    loop {
        if let Some(after) = closed(rest) {
            tokens.push(Token { what: What::Close, glued: false });
            return Ok(after);
        }
        let trimmed = rest.trim_start_matches(BLANK);
        glued &= trimmed.len() == rest.len();
        if trimmed.starts_with("}}") {
            rest = trimmed;
            continue;
        }
        if trimmed.is_empty() {
            return Err(Error::new("{{ without }}"));
        }
        let (what, length) = word(trimmed)?;
        tokens.push(Token { what, glued });
        rest = &trimmed[length..];
        glued = true;
    }
}

fn word(text: &str) -> Result<(What, usize)> {
    let first = text.chars().next().unwrap_or_default();
    let single = |what| Ok((what, 1));
    let after = &text[first.len_utf8()..];
    match first {
        '|' => single(What::Pipe),
        ',' => single(What::Comma),
        '(' => single(What::LeftParen),
        ')' => single(What::RightParen),
        '=' => single(What::Assign),
        ':' if after.starts_with('=') => Ok((What::Declare, 2)),
        '$' => {
            let name = name(after);
            Ok((What::Variable(name.to_owned()), 1 + name.len()))
        }
        '"' => quoted(after).map(|(text, length)| (What::Constant(text), 1 + length)),
        '`' => {
            let end = after.find('`').ok_or_else(|| Error::new("a ` has no other"))?;
            Ok((What::Constant(after[..end].to_owned()), end + 2))
        }
        '.' if !name(after).is_empty() && !after.starts_with(|c: char| c.is_ascii_digit()) => {
            let name = name(after);
            Ok((What::Field(name.to_owned()), 1 + name.len()))
        }
        '.' if !after.starts_with(|c: char| c.is_ascii_digit()) => single(What::Dot),
        '+' | '-' | '.' | '0'..='9' => number(text),
        _ => {
            let name = name(text);
            if name.is_empty() {
                return Err(Error::new(format!("{first:?} is not understood")));
            }
            Ok((What::Name(name.to_owned()), name.len()))
        }
    }
}

/// The letters, digits and underscores at the beginning.
fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn number(text: &str) -> Result<(What, usize)> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let sign = text.len() - unsigned.len();
    let is_part = |c: char| c.is_alphanumeric() || c == '.' || c == '_';
    let length = sign + unsigned.find(|c| !is_part(c)).unwrap_or(unsigned.len());
    let word = &text[..length];
    if sign > 1 {
        return Err(Error::new(format!("{word} is no number")));
    }
    let digits = word[sign..].to_lowercase().replace('_', "");
    let radix = |prefix, radix| digits.strip_prefix(prefix).map(|digits| i128::from_str_radix(digits, radix));
    let int = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2));
    let int = int.unwrap_or_else(|| digits.parse()).ok().filter(|number| *number <= u64::MAX.into());
    let negative = word.starts_with('-');
    let what = match int {
        Some(number) => What::Int(if negative { -number } else { number }),
        None => {
            let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
            let number = number.ok_or_else(|| Error::new(format!("{word} is no number")))?;
            What::Float(if negative { -number } else { number })
        }
    };
    Ok((what, length))
}

/// A text in Go's quotes, and how long it is with the closing one.
fn quoted(text: &str) -> Result<(String, usize)> {
    let wrong = |why: &str| Error::new(format!("\"{text}: {why}"));
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, at + 1)),
            '\n' => break,
            '\\' => {
                let (_, escape) = chars.next().ok_or_else(|| wrong("the text does not end"))?;
                let mut code = |digits: usize| {
                    let hex: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                    let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                    code.ok_or_else(|| wrong("a \\x, \\u or \\U needs 2, 4 or 8 hexadecimal digits"))
                };
                out.push(match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\x07',
                    'b' => '\x08',
                    'f' => '\x0c',
                    'v' => '\x0b',
                    '\\' | '"' | '\'' => escape,
                    'x' => code(2)?,
                    'u' => code(4)?,
                    'U' => code(8)?,
                    other => return Err(wrong(&format!("there is no \\{other}"))),
                });
            }
            other => out.push(other),
        }
    }
    Err(wrong("the text does not end"))
}
