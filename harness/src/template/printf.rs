//! Go's fmt, as far as templates need it. What is wrong is said in the text, as there: `%!d(string=x)`.

use std::fmt::Write as _;

use super::{Error, Result, Value};

/// The widest that a word is made.
const WIDEST: usize = 1_000_000;

/// With a space between two that are both no strings.
pub fn print(given: &[Value]) -> String {
    let mut out = String::new();
    let mut before: Option<&Value> = None;
    for value in given {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if before.is_some_and(|before| !is_text(before) && !is_text(value)) {
            out.push(' ');
        }
        let _ = write!(out, "{value}");
        before = Some(value);
    }
    out
}

pub fn println(given: &[Value]) -> String {
    given.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ") + "\n"
}

/// How one value is to be written: `%-8.3s`.
#[derive(Debug, Default)]
struct Verb {
    minus: bool,
    plus: bool,
    sharp: bool,
    zero: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
}

pub fn printf(given: &[Value]) -> Result<String> {
    let Some((Value::Text(format), given)) = given.split_first() else {
        return Err(Error::new("printf takes a format first"));
    };
    let mut values = given.iter();
    let mut out = String::new();
    let mut rest = &**format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (verb, after) = Verb::read(&rest[at + 1..], &mut values)?;
        let Some(letter) = after.chars().next() else {
            out.push_str("%!(NOVERB)");
            rest = "";
            break;
        };
        rest = &after[letter.len_utf8()..];
        if letter == '%' {
            out.push('%');
            continue;
        }
        match values.next() {
            Some(value) => out.push_str(&verb.padded(letter, value)),
            None => _ = write!(out, "%!{letter}(MISSING)"),
        }
    }
    out.push_str(rest);
    let extra: Vec<_> = values.map(|value| format!("{}={value}", value.kind())).collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    Ok(out)
}

impl Verb {
    /// What stands between `%` and the letter, and the rest from that on.
    fn read<'a>(text: &'a str, values: &mut std::slice::Iter<Value>) -> Result<(Self, &'a str)> {
        let mut verb = Self::default();
        let mut rest = text;
        while let Some(flag) = rest.chars().next().filter(|flag| "-+# 0".contains(*flag)) {
            match flag {
                '-' => verb.minus = true,
                '+' => verb.plus = true,
                '#' => verb.sharp = true,
                '0' => verb.zero = true,
                _ => verb.space = true,
            }
            rest = &rest[1..];
        }
        let mut amount = |rest: &mut &'a str| -> Result<Option<usize>> {
            if let Some(after) = rest.strip_prefix('*') {
                *rest = after;
                let value = values.next();
                let given = if let Some(Value::Int(number)) = value { usize::try_from(*number).ok() } else { None };
                return given
                    .filter(|&given| given <= WIDEST)
                    .map(Some)
                    .ok_or_else(|| Error::new(format!("printf's * takes a number from 0 to {WIDEST}")));
            }
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            *rest = after;
            if number.is_empty() {
                return Ok(None);
            }
            let number = number.parse().ok().filter(|&number| number <= WIDEST);
            number.map(Some).ok_or_else(|| Error::new(format!("printf makes nothing wider than {WIDEST}")))
        };
        verb.width = amount(&mut rest)?.unwrap_or(0);
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            verb.precision = Some(amount(&mut rest)?.unwrap_or(0));
        }
        Ok((verb, rest))
    }

    fn padded(&self, letter: char, value: &Value) -> String {
        let text = self.format(letter, value);
        let missing = self.width.saturating_sub(text.chars().count());
        let is_number = matches!(value, Value::Int(_) | Value::Float(_)) && !text.starts_with("%!");
        if self.minus {
            text + &" ".repeat(missing)
        } else if self.zero && is_number {
            let (sign, digits) = text.split_at(text.len() - text.trim_start_matches(['-', '+', ' ']).len());
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            " ".repeat(missing) + &text
        }
    }

    fn format(&self, letter: char, value: &Value) -> String {
        let cut = |text: String| match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        };
        match (letter, value) {
            ('v', Value::Text(text)) if self.sharp => quoted(text),
            ('v' | 's', Value::Text(text)) => cut(text.to_string()),
            ('v' | 'd' | 's' | 'q' | 'x' | 't', Value::List(all)) => {
                let each = Self { width: 0, ..*self };
                format!("[{}]", all.iter().map(|one| each.format(letter, one)).collect::<Vec<_>>().join(" "))
            }
            ('v' | 'd', Value::Int(number)) => self.signed(*number >= 0, number.to_string()),
            ('v', Value::Float(number)) => self.signed(*number >= 0.0, number.to_string()),
            ('v', other) => other.to_string(),
            ('t', Value::Bool(is)) => is.to_string(),
            ('q', Value::Text(text)) => quoted(&cut(text.to_string())),
            ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('X', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
            ('x' | 'X' | 'o' | 'b', Value::Int(number)) => self.signed(*number >= 0, self.radix(letter, *number)),
            ('c', Value::Int(number)) => {
                let c = u32::try_from(*number).ok().and_then(char::from_u32);
                c.unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
            }
            ('f' | 'F' | 'e' | 'g', Value::Float(number)) => self.signed(*number >= 0.0, self.float(letter, *number)),
            (_, Value::Nil | Value::Missing) => format!("%!{letter}(<nil>)"),
            _ => format!("%!{letter}({}={value})", value.kind()),
        }
    }

    fn signed(&self, positive: bool, text: String) -> String {
        match (positive, self.plus, self.space) {
            (true, true, _) => format!("+{text}"),
            (true, false, true) => format!(" {text}"),
            _ => text,
        }
    }

    fn radix(&self, letter: char, number: i128) -> String {
        let (sign, amount) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
        let digits = match letter {
            'x' if self.sharp => format!("{amount:#x}"),
            'x' => format!("{amount:x}"),
            'X' => format!("{amount:X}"),
            'o' => format!("{amount:o}"),
            _ => format!("{amount:b}"),
        };
        format!("{sign}{digits}")
    }

    fn float(&self, letter: char, number: f64) -> String {
        match (letter, self.precision) {
            ('e', precision) => {
                // Go writes at least two digits of the exponent, and its sign.
                let text = format!("{number:.*e}", precision.unwrap_or(6));
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let exponent: i32 = exponent.parse().unwrap_or_default();
                format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
            }
            ('g', None) => number.to_string(),
            ('g', Some(precision)) => {
                let whole = number.abs().log10().floor().max(0.0) as usize + 1;
                let text = format!("{number:.*}", precision.saturating_sub(whole));
                if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
            }
            (_, precision) => format!("{number:.*}", precision.unwrap_or(6)),
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
