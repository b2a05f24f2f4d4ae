//! What `--filter` of lists and prunes has alike.

use std::time::SystemTime;

use harness_image::parse_rfc3339;
use storage_driver::Timestamp;

use super::container::nanoseconds;
use crate::failure::{Failure, Result};

/// Reads `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(&str, &str)> {
    text.split_once('=').ok_or_else(|| Failure::usage(format!("--filter takes NAME=VALUE, not {text:?}")))
}

/// A label, of any value or of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    name: String,
    value: Option<String>,
}

impl Label {
    /// Reads `NAME[=VALUE]`.
    pub fn read(text: &str) -> Self {
        match text.split_once('=') {
            Some((name, value)) => Self { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Self { name: text.to_owned(), value: None },
        }
    }

    /// Whether it is among these.
    pub fn is_among<'a>(&self, labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> bool {
        let is = |value: &String| self.value.as_ref().is_none_or(|wanted| wanted == value);
        labels.into_iter().any(|(name, value)| *name == self.name && is(value))
    }
}

/// `true` or `false`, as docker takes them.
pub fn boolean(name: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Failure::usage(format!("--filter {name} takes true or false, not {value:?}"))),
    }
}

/// A time: RFC 3339, a date, seconds since 1970, or a duration before now.
pub fn time(text: &str) -> Result<Timestamp> {
    if let Some(time) = parse_rfc3339(text).or_else(|| parse_rfc3339(&format!("{text}T00:00:00Z"))) {
        return Ok(time);
    }
    let wrong =
        || Failure::usage(format!("{text:?} is no time; write 2026-01-02T13:23:37Z, or 42m30s for so long ago"));
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok(Timestamp((seconds * 1e9) as u64));
    }
    let ago = nanoseconds(text).map_err(|_| wrong())?;
    Ok(Timestamp(Timestamp::from_system(SystemTime::now()).0.saturating_sub(ago)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn labels_are_of_any_value_or_of_one() {
        let labels = BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
        for (text, expected) in [("tier", true), ("tier=front", true), ("tier=", false), ("team", false)] {
            assert_eq!(Label::read(text).is_among(&labels), expected, "{text}");
        }
    }

    #[test]
    fn times_are_read() {
        let second = 1_000_000_000;
        assert_eq!(time("1970-01-02").unwrap(), Timestamp(86_400 * second));
        assert_eq!(time("1970-01-01T00:00:01Z").unwrap(), Timestamp(second));
        assert_eq!(time("1.5").unwrap(), Timestamp(second * 3 / 2));
        let now = Timestamp::from_system(SystemTime::now()).0;
        assert!(now - time("1h").unwrap().0 >= 3_599 * second);
        assert!(time("yesterday").is_err());
    }
}
