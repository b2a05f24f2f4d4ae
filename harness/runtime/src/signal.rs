//! Signals by name and by number, as kill(1) and docker read them.

use std::str::FromStr;

use nix::sys::signal::Signal;

/// The largest number of a signal (signal(7), "Real-time signals").
const LAST: i32 = 64;

/// Reads `9`, `KILL`, `SIGKILL`, `rtmin+3`.
///
/// # Errors
/// A sentence for people.
pub fn parse(text: &str) -> Result<i32, String> {
    let wrong = || format!("{text:?} is no signal; write TERM, SIGTERM or 15");
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=LAST).contains(&number) { Ok(number) } else { Err(wrong()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    // The C library keeps the first two for itself (signal(7)).
    let real_time = |rest: &str, base: i32| {
        let offset = if rest.is_empty() { Some(0) } else { rest.parse::<i32>().ok() };
        offset.map(|offset| base + offset).filter(|number| (34..=LAST).contains(number)).ok_or_else(wrong)
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(rest, 34);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(rest, LAST);
    }
    Signal::from_str(&format!("SIG{name}")).map(|signal| signal as i32).map_err(|_| wrong())
}

/// `SIGTERM` for 15.
#[must_use]
pub fn name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) if (34..=LAST).contains(&signal) => format!("SIGRTMIN+{}", signal - 34),
        Err(_) => signal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("64", 64)]
        {
            assert_eq!(parse(text), Ok(number), "{text}");
            assert_eq!(parse(&name(number)), Ok(number), "{text}");
        }
        assert_eq!((name(15), name(37)), ("SIGTERM".to_owned(), "SIGRTMIN+3".to_owned()));
        for text in ["", "0", "65", "-1", "SIGNOT", "RTMIN+99", "RTMAX+1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
