//! Whether a container works, as its health check says.

use harness_image::HealthCheck;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage_driver::Timestamp;

/// How many probes are kept, as docker keeps them.
const KEPT: usize = 5;
/// How much of a probe's output is kept, in bytes.
pub(crate) const OUTPUT: usize = 4096;

/// A container's health.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What the probes say together.
    pub status: HealthStatus,
    /// How many failed in a row.
    pub failing_streak: u32,
    /// The last ones, oldest first.
    pub probes: Vec<Probe>,
}

/// What probes say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Nothing yet.
    #[default]
    Starting,
    /// The last one was good.
    Healthy,
    /// Too many have failed in a row.
    Unhealthy,
}

impl HealthStatus {
    /// Docker's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Its status; -1 when it took too long or could not be started.
    pub status: i32,
    /// What it wrote, cut.
    pub output: String,
}

/// A check with docker's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) words: Vec<String>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

impl Plan {
    /// `None` for a check that is switched off or empty. `shell` runs `CMD-SHELL`.
    pub(crate) fn of(check: &HealthCheck) -> Option<Self> {
        let (kind, rest) = check.test.split_first()?;
        let words = match kind.as_str() {
            "CMD" if !rest.is_empty() => rest.to_vec(),
            "CMD-SHELL" => ["/bin/sh", "-c"].iter().map(|&word| word.to_owned()).chain([rest.join(" ")]).collect(),
            _ => return None,
        };
        let or = |nanoseconds: u64, default: Duration| match nanoseconds {
            0 => default,
            some => Duration::from_nanos(some),
        };
        Some(Self {
            words,
            interval: or(check.interval, Duration::from_secs(30)),
            timeout: or(check.timeout, Duration::from_secs(30)),
            start_period: Duration::from_nanos(check.start_period),
            start_interval: or(check.start_interval, Duration::from_secs(5)),
            retries: if check.retries == 0 { 3 } else { check.retries },
        })
    }

    /// How long to wait before the next probe.
    pub(crate) fn pause(&self, health: &Health, running: Duration) -> Duration {
        if health.status == HealthStatus::Starting && running < self.start_period {
            self.start_interval
        } else {
            self.interval
        }
    }

    /// What is known after another probe, `running` after the start. Failures in the start period do not count.
    pub(crate) fn judge(&self, health: &mut Health, probe: Probe, running: Duration) {
        if probe.status == 0 {
            health.status = HealthStatus::Healthy;
            health.failing_streak = 0;
        } else if running >= self.start_period || health.status != HealthStatus::Starting {
            health.failing_streak += 1;
            if health.failing_streak >= self.retries {
                health.status = HealthStatus::Unhealthy;
            }
        }
        health.probes.push(probe);
        if health.probes.len() > KEPT {
            health.probes.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(status: i32) -> Probe {
        Probe { start: Timestamp(0), end: Timestamp(1), status, output: String::new() }
    }

    fn plan(test: &[&str], start_period: u64) -> Option<Plan> {
        let test = test.iter().map(|&word| word.to_owned()).collect();
        Plan::of(&HealthCheck { test, start_period, ..HealthCheck::default() })
    }

    #[test]
    fn defaults_are_dockers() {
        let made = plan(&["CMD-SHELL", "curl -f x || exit 1"], 0).unwrap();
        assert_eq!(made.words, ["/bin/sh", "-c", "curl -f x || exit 1"]);
        assert_eq!((made.interval.as_secs(), made.timeout.as_secs(), made.retries), (30, 30, 3));
        for test in [&["NONE"][..], &["CMD"], &[], &["MAYBE", "x"]] {
            assert_eq!(plan(test, 0), None, "{test:?}");
        }
    }

    #[test]
    fn three_failures_in_a_row_are_unhealthy_and_one_success_heals() {
        let plan = plan(&["CMD", "true"], 0).unwrap();
        let mut health = Health::default();
        for (status, expected) in [
            (1, HealthStatus::Starting),
            (1, HealthStatus::Starting),
            (1, HealthStatus::Unhealthy),
            (0, HealthStatus::Healthy),
            (1, HealthStatus::Healthy),
        ] {
            plan.judge(&mut health, probe(status), Duration::from_secs(1));
            assert_eq!(health.status, expected);
        }
        for _ in 0..9 {
            plan.judge(&mut health, probe(0), Duration::ZERO);
        }
        assert_eq!(health.probes.len(), KEPT);
    }

    #[test]
    fn failures_do_not_count_while_it_starts() {
        let plan = plan(&["CMD", "true"], 10_000_000_000).unwrap();
        let mut health = Health::default();
        for _ in 0..5 {
            plan.judge(&mut health, probe(1), Duration::from_secs(1));
        }
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Starting, 0));
        assert_eq!(plan.pause(&health, Duration::from_secs(1)), Duration::from_secs(5));
        plan.judge(&mut health, probe(0), Duration::from_secs(2));
        assert_eq!(plan.pause(&health, Duration::from_secs(2)), Duration::from_secs(30));
        plan.judge(&mut health, probe(1), Duration::from_secs(3));
        assert_eq!(health.failing_streak, 1);
    }
}
