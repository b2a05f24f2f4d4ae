//! The functions of text/template, and docker's.

use super::{Error, Result, Value, compare, eval::LONGEST, printf};
use crate::nearest;

type Function = fn(&str, &[Value]) -> Result<Value>;

const ALL: [(&str, Function); 25] = [
    // Where they have arguments, not all of these may be looked at.
    ("and", |name, given| Err(count(name, "at least one", given))),
    ("or", |name, given| Err(count(name, "at least one", given))),
    ("not", |name, given| Ok(Value::Bool(!one(name, given)?.is_true()))),
    ("len", length),
    ("index", index),
    ("slice", slice),
    ("print", |_, given| Ok(Value::text(printf::print(given)))),
    ("println", |_, given| Ok(Value::text(printf::println(given)))),
    ("printf", |_, given| printf::printf(given).map(Value::text)),
    ("eq", compare::equal),
    ("ne", compare::unequal),
    ("lt", compare::ordered),
    ("le", compare::ordered),
    ("gt", compare::ordered),
    ("ge", compare::ordered),
    ("html", |_, given| Ok(Value::text(html(&printf::print(given))))),
    ("urlquery", |_, given| Ok(Value::text(urlquery(&printf::print(given))))),
    ("json", |name, given| Ok(Value::text(one(name, given)?.to_json().to_string()))),
    ("split", split),
    ("join", join),
    ("title", |name, given| Ok(Value::text(title(&text(name, one(name, given)?)?)))),
    ("lower", |name, given| Ok(Value::text(text(name, one(name, given)?)?.to_lowercase()))),
    ("upper", |name, given| Ok(Value::text(text(name, one(name, given)?)?.to_uppercase()))),
    ("pad", pad),
    ("truncate", truncate),
];

/// Whether there is a function of this name.
pub fn check(name: &str) -> Result<()> {
    find(name).map(|_| ())
}

pub fn call(name: &str, given: &[Value]) -> Result<Value> {
    match find(name)?(name, given)? {
        Value::Text(text) if text.len() > LONGEST => Err(Error::new(format!("{name} makes more than {LONGEST} bytes"))),
        other => Ok(other),
    }
}

fn find(name: &str) -> Result<Function> {
    let found = ALL.iter().find(|(known, _)| *known == name).map(|(_, function)| *function);
    found.ok_or_else(|| Error::new(nearest::unknown("function", name, ALL.map(|(known, _)| known))))
}

pub(super) fn count(name: &str, wanted: &str, given: &[Value]) -> Error {
    Error::new(format!("{name} takes {wanted} argument(s), not {}", given.len()))
}

fn one<'a>(name: &str, given: &'a [Value]) -> Result<&'a Value> {
    if let [value] = given { Ok(value) } else { Err(count(name, "one", given)) }
}

fn text(name: &str, value: &Value) -> Result<String> {
    match value {
        Value::Text(text) => Ok(text.to_string()),
        other => Err(Error::new(format!("{name} takes a string, not {} ({other})", other.kind()))),
    }
}

fn number(name: &str, value: &Value) -> Result<usize> {
    let number = if let Value::Int(number) = value { usize::try_from(*number).ok() } else { None };
    number
        .filter(|number| *number <= LONGEST)
        .ok_or_else(|| Error::new(format!("{name} takes a number from 0 to {LONGEST}, not {} ({value})", value.kind())))
}

fn length(name: &str, given: &[Value]) -> Result<Value> {
    match one(name, given)? {
        Value::Text(text) => Ok(Value::int(text.len())),
        Value::List(all) => Ok(Value::int(all.len())),
        Value::Map(entries) => Ok(Value::int(entries.len())),
        other => Err(Error::new(format!("{} has no length", other.kind()))),
    }
}

/// `index MAP KEY`, `index LIST N M`: what a map does not have is empty.
fn index(name: &str, given: &[Value]) -> Result<Value> {
    let (whole, keys) = given.split_first().ok_or_else(|| count(name, "at least one", given))?;
    keys.iter().try_fold(whole.clone(), |value, key| match (&value, key) {
        (Value::Map(entries), Value::Text(key)) => {
            Ok(entries.get(&**key).cloned().unwrap_or_else(|| empty(entries.values().next())))
        }
        (Value::List(all), key) => {
            let at = number(name, key)?;
            all.get(at).cloned().ok_or_else(|| Error::new(format!("index {at} is beyond the {} there are", all.len())))
        }
        (Value::Text(text), key) => {
            let at = number(name, key)?;
            let byte = text.as_bytes().get(at).map(|byte| Value::Int((*byte).into()));
            byte.ok_or_else(|| Error::new(format!("index {at} is beyond the {} bytes there are", text.len())))
        }
        (Value::Map(_), key) => Err(Error::new(format!("a map's keys are strings, not {} ({key})", key.kind()))),
        (other, _) => Err(Error::new(format!("{} has nothing that index finds", other.kind()))),
    })
}

/// What a map of such values has for a key that is not in it: Go's zero value of their type.
fn empty(other: Option<&Value>) -> Value {
    match other {
        None | Some(Value::Text(_)) => Value::text(""),
        Some(Value::List(_)) => Value::List(Vec::new().into()),
        Some(Value::Int(_)) => Value::Int(0),
        Some(Value::Bool(_)) => Value::Bool(false),
        Some(_) => Value::Nil,
    }
}

fn slice(name: &str, given: &[Value]) -> Result<Value> {
    let (whole, bounds) = given.split_first().ok_or_else(|| count(name, "at least one", given))?;
    let bounds = bounds.iter().map(|bound| number(name, bound)).collect::<Result<Vec<_>>>()?;
    let length = match whole {
        Value::Text(text) => text.len(),
        Value::List(all) => all.len(),
        other => return Err(Error::new(format!("{} cannot be sliced", other.kind()))),
    };
    let (from, to) = match *bounds.as_slice() {
        [] => (0, length),
        [from] => (from, length),
        [from, to] => (from, to),
        _ => return Err(count(name, "one to three", given)),
    };
    let outside = || Error::new(format!("from {from} to {to} is no part of the {length} there are"));
    match whole {
        Value::Text(text) => text.get(from..to).map(Value::text).ok_or_else(outside),
        Value::List(all) => all.get(from..to).map(|part| Value::List(part.to_vec().into())).ok_or_else(outside),
        _ => Err(outside()),
    }
}

fn html(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' => "&#34;".to_owned(),
        '\'' => "&#39;".to_owned(),
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '\0' => "\u{fffd}".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escaped).collect()
}

fn urlquery(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escaped).collect()
}

fn split(name: &str, given: &[Value]) -> Result<Value> {
    let [whole, separator] = given else { return Err(count(name, "two", given)) };
    let (whole, separator) = (text(name, whole)?, text(name, separator)?);
    let parts: Vec<_> = if separator.is_empty() {
        whole.chars().map(|c| Value::text(c.to_string())).collect()
    } else {
        whole.split(&separator).map(Value::text).collect()
    };
    Ok(Value::List(parts.into()))
}

fn join(name: &str, given: &[Value]) -> Result<Value> {
    match given {
        [Value::List(parts), separator] => {
            let parts = parts.iter().map(|part| text(name, part)).collect::<Result<Vec<_>>>()?;
            Ok(Value::text(parts.join(&text(name, separator)?)))
        }
        // Where Go has an empty list it has nil as well.
        [Value::Nil, _] => Ok(Value::text("")),
        [other, _] => Err(Error::new(format!("{name} takes a list and a separator, not {}", other.kind()))),
        _ => Err(count(name, "two", given)),
    }
}

/// Every word with a capital.
fn title(text: &str) -> String {
    let mut before = ' ';
    let capital = |c: char| {
        let begins = !before.is_alphanumeric() && before != '_' && before != '\'';
        before = c;
        if begins { c.to_uppercase().next().unwrap_or(c) } else { c }
    };
    text.chars().map(capital).collect()
}

/// So many spaces before and behind; what is empty stays so.
fn pad(name: &str, given: &[Value]) -> Result<Value> {
    let [padded, before, behind] = given else { return Err(count(name, "three", given)) };
    let (padded, before, behind) = (text(name, padded)?, number(name, before)?, number(name, behind)?);
    if padded.is_empty() {
        return Ok(Value::text(""));
    }
    Ok(Value::text(format!("{}{padded}{}", " ".repeat(before), " ".repeat(behind))))
}

fn truncate(name: &str, given: &[Value]) -> Result<Value> {
    let [whole, length] = given else { return Err(count(name, "two", given)) };
    let (whole, length) = (text(name, whole)?, number(name, length)?);
    Ok(Value::text(whole.chars().take(length).collect::<String>()))
}
