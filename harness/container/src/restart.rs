//! Whether a container that has ended is started again, and when.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Docker's restart policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When its status is not 0, this many times at the most; 0 for any number.
    OnFailure(u32),
    /// Whenever it ends, unless somebody stopped it.
    Always,
    /// The same; they differ when the machine starts anew ([`State::stopped`](crate::State::stopped)).
    UnlessStopped,
}

impl RestartPolicy {
    /// Whether a container that ended with `status` after `restarts` restarts is started again.
    #[must_use]
    pub fn restarts(self, status: i32, restarts: u32) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure(most) => status != 0 && (most == 0 || restarts < most),
            Self::Always | Self::UnlessStopped => true,
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None => match text {
                "no" | "" => Ok(Self::No),
                "on-failure" => Ok(Self::OnFailure(0)),
                "always" => Ok(Self::Always),
                "unless-stopped" => Ok(Self::UnlessStopped),
                _ => Err(format!("{text:?} is no restart policy; no, on-failure[:N], always or unless-stopped")),
            },
            Some(("on-failure", most)) => {
                most.parse().map(Self::OnFailure).map_err(|_| format!("{most:?} is no number of restarts"))
            }
            Some((name, _)) => Err(format!("only on-failure takes a number of restarts, not {name}")),
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::OnFailure(0) => f.write_str("on-failure"),
            Self::OnFailure(most) => write!(f, "on-failure:{most}"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
        }
    }
}

/// How long to wait before the next start: twice as long each time, as docker (`restartmanager.go`), and from the beginning again
/// after a container that ran for ten seconds.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(60);
    const STEADY: Duration = Duration::from_secs(10);

    pub(crate) const fn new() -> Self {
        Self(Self::FIRST)
    }

    /// The pause after a run that took so long.
    pub(crate) fn next(&mut self, ran: Duration) -> Duration {
        if ran >= Self::STEADY {
            self.0 = Self::FIRST;
        }
        let pause = self.0;
        self.0 = (self.0 * 2).min(Self::LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_as_they_are_written() {
        for text in ["no", "on-failure", "on-failure:3", "always", "unless-stopped"] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap().to_string(), text);
        }
        for text in ["maybe", "always:3", "on-failure:x"] {
            assert!(text.parse::<RestartPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn failures_are_counted() {
        let policy = RestartPolicy::OnFailure(2);
        assert!(policy.restarts(1, 0) && policy.restarts(1, 1));
        assert!(!policy.restarts(1, 2) && !policy.restarts(0, 0));
        assert!(RestartPolicy::OnFailure(0).restarts(1, 1000) && RestartPolicy::Always.restarts(0, 1000));
    }

    #[test]
    fn pauses_grow_until_it_runs() {
        let mut backoff = Backoff::new();
        let short = Duration::from_millis(5);
        let pauses: Vec<_> = (0..3).map(|_| backoff.next(short).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400]);
        assert_eq!(backoff.next(Duration::from_secs(11)).as_millis(), 100);
        assert!((0..20).map(|_| backoff.next(short)).all(|pause| pause <= Backoff::LONGEST));
    }
}
