use std::fmt;

use serde::Serialize;

use super::CellId;

/// What is said of a cell, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No change that could be told from noise.
    Pass,
    /// It costs less.
    Improve,
    /// Its own rounds differ by more than the tolerance, so that nothing can be said.
    Unstable,
    /// It may cost more, or is measured for the first time: a person should look. Does not fail the gate.
    Warn,
    /// It is not measured any more. Fails the gate, which would otherwise be passed by measuring nothing.
    Incomparable,
    /// It costs more. Fails the gate.
    Regress,
}

impl Verdict {
    /// Whether the gate lets it through.
    #[must_use]
    pub const fn is_passed(self) -> bool {
        !matches!(self, Self::Incomparable | Self::Regress)
    }

    /// All of them, the mildest first.
    pub const ALL: [Self; 6] =
        [Self::Pass, Self::Improve, Self::Unstable, Self::Warn, Self::Incomparable, Self::Regress];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Improve => "improve",
            Self::Unstable => "unstable",
            Self::Warn => "warn",
            Self::Incomparable => "incomparable",
            Self::Regress => "regress",
        })
    }
}

/// What was found out about one cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Which.
    pub cell: CellId,
    /// What is said of it.
    pub verdict: Verdict,
    /// Median and number of rounds of the base; `None` where it has no such cell.
    pub base: Option<Side>,
    /// The same of what is new.
    pub new: Option<Side>,
    /// New by base, with its interval; of times alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// Which rule said so.
    pub why: String,
}

/// One side of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Side {
    /// Median over the rounds.
    pub median: f64,
    /// Smallest round.
    pub least: f64,
    /// Largest round.
    pub most: f64,
    /// How many rounds.
    pub n: usize,
}

impl Side {
    pub(super) fn of(values: &[f64]) -> Self {
        let bound = |start: f64, pick: fn(f64, f64) -> f64| values.iter().copied().fold(start, pick);
        Self {
            median: crate::median(values),
            least: bound(f64::INFINITY, f64::min),
            most: bound(f64::NEG_INFINITY, f64::max),
            n: values.len(),
        }
    }
}

/// A quotient of two medians, or the median of quotients of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// New by base.
    pub ratio: f64,
    /// Lower end of its 95 % bootstrap interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Pairs.
    pub pairs: usize,
}

impl Ratio {
    /// The smallest growth that could have been told from none: half the width of the interval.
    #[must_use]
    pub fn detectable(&self) -> f64 {
        (self.high / self.low).sqrt() - 1.0
    }
}
