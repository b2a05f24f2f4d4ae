//! The options of `run` and `create` about health.

use clap::Args;
use harness_image::HealthCheck;

use crate::failure::{Failure, Result};

/// How to find out whether a container works.
#[derive(Debug, Clone, Args)]
pub struct HealthOptions {
    /// A shell's line that succeeds while the container works [default: the image's HEALTHCHECK]
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Between two checks, such as 30s [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub health_interval: Option<String>,
    /// The longest that a check may take [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub health_timeout: Option<String>,
    /// How long failures do not count after the start [default: 0s]
    #[arg(long, value_name = "DURATION")]
    pub health_start_period: Option<String>,
    /// Between two checks until then [default: 5s]
    #[arg(long, value_name = "DURATION")]
    pub health_start_interval: Option<String>,
    /// How many failures in a row make it unhealthy [default: 3]
    #[arg(long, value_name = "N")]
    pub health_retries: Option<u32>,
    /// Do not check, whatever the image says
    #[arg(long, conflicts_with = "health_cmd")]
    pub no_healthcheck: bool,
}

impl HealthOptions {
    /// The image's check with what the options change.
    pub fn of(&self, image: Option<&HealthCheck>) -> Result<Option<HealthCheck>> {
        if self.no_healthcheck {
            return Ok(None);
        }
        let mut check = image.cloned().unwrap_or_default();
        if let Some(command) = &self.health_cmd {
            check.test = vec!["CMD-SHELL".to_owned(), command.clone()];
        }
        for (given, field) in [
            (&self.health_interval, &mut check.interval),
            (&self.health_timeout, &mut check.timeout),
            (&self.health_start_period, &mut check.start_period),
            (&self.health_start_interval, &mut check.start_interval),
        ] {
            if let Some(text) = given {
                *field = nanoseconds(text)?;
            }
        }
        check.retries = self.health_retries.unwrap_or(check.retries);
        Ok(if check.test.is_empty() { None } else { Some(check) })
    }
}

/// A duration as docker writes them: `1m30s`, `500ms`.
pub fn nanoseconds(text: &str) -> Result<u64> {
    let wrong = || Failure::usage(format!("{text:?} is no duration; write 30s, 500ms or 1m30s"));
    let (mut total, mut rest) = (0_f64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let after = &rest[digits..];
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let factor = match &after[..unit] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        total += rest[..digits].parse::<f64>().map_err(|_| wrong())? * factor;
        rest = &after[unit..];
    }
    if text.is_empty() || !total.is_finite() || total > 9e18 {
        return Err(wrong());
    }
    Ok(total as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, expected) in
            [("30s", 30_000_000_000), ("1m30s", 90_000_000_000), ("500ms", 500_000_000), ("1.5s", 1_500_000_000)]
        {
            assert_eq!(nanoseconds(text).unwrap(), expected, "{text}");
        }
        for text in ["", "30", "s", "1x", "-1s"] {
            assert!(nanoseconds(text).is_err(), "{text}");
        }
    }
}
