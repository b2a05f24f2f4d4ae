//! Times, in pairs that ran next to each other.
//!
//! On shared machines one and the same program takes twice as long from one minute to the next. What ran side by side shares
//! that, so the quotient of a pair is far steadier than either of its times, and the median of many quotients is not moved by
//! the pairs that something else fell into.

use super::{Ratio, Thresholds, Verdict, exact::text};
use crate::{median, statistics::bootstrap_medians};

/// Pairs without which no interval says anything.
const FEWEST: usize = 5;

/// The median quotient of pairs `(base, new)` and its interval; `None` where there are too few, or times of zero.
#[must_use]
pub fn ratio(pairs: &[(f64, f64)]) -> Option<Ratio> {
    let logs: Vec<f64> =
        pairs.iter().filter(|(base, new)| *base > 0.0 && *new > 0.0).map(|(base, new)| (new / base).ln()).collect();
    if logs.len() < FEWEST {
        return None;
    }
    let (low, high) = bootstrap_medians(&logs);
    Some(Ratio { ratio: median(&logs).exp(), low: low.exp(), high: high.exp(), pairs: logs.len() })
}

/// What is said of a time, and why: it fails where both halves of the pairs say by themselves, with 95 % confidence, that it grew by
/// more than the threshold.
pub(super) fn judge(pairs: &[(f64, f64)], thresholds: &Thresholds) -> (Verdict, Option<Ratio>, String) {
    let Some(all) = ratio(pairs) else {
        return (Verdict::Pass, None, format!("fewer than {FEWEST} pairs: times are not judged"));
    };
    let (first, second) = pairs.split_at(pairs.len() / 2);
    let least = |bound: f64| {
        let above = |batch| ratio(batch).is_some_and(|ratio| ratio.low > 1.0 + bound);
        above(first) && above(second)
    };
    let grew = |bound: f64| format!("more than {} % slower in both batches of pairs", text(100.0 * bound));
    let verdict = if least(thresholds.fail) {
        (Verdict::Regress, grew(thresholds.fail))
    } else if all.low > 1.0 + thresholds.warn {
        (Verdict::Warn, format!("more than {} % slower", text(100.0 * thresholds.warn)))
    } else if all.high < 1.0 / (1.0 + thresholds.warn) {
        (Verdict::Improve, format!("more than {} % faster", text(100.0 * thresholds.warn)))
    } else {
        let seen = text(100.0 * all.detectable());
        (Verdict::Pass, format!("no evidence; a change of {seen} % could have been seen"))
    };
    (verdict.0, Some(all), verdict.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of `n` pairs on a machine whose speed drifts by half and whose single times scatter.
    fn pairs(n: usize, factor: f64) -> Vec<(f64, f64)> {
        let scatter = |i: usize| {
            let hash = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let hash = (hash ^ (hash >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB);
            1.0 + 0.1 * ((hash >> 40) as f64 / (1 << 24) as f64 - 0.5)
        };
        (0..n)
            .map(|i| {
                let drift = 1.0 + 0.5 * (i as f64 / 5.0).sin();
                (drift * scatter(i), factor * drift * scatter(1000 + i))
            })
            .collect()
    }

    fn verdict(n: usize, factor: f64) -> Verdict {
        judge(&pairs(n, factor), &Thresholds::default()).0
    }

    #[test]
    fn drift_is_no_change() {
        let (verdict, ratio, _) = judge(&pairs(30, 1.0), &Thresholds::default());
        assert_eq!(verdict, Verdict::Pass);
        let ratio = ratio.unwrap();
        assert!(ratio.low < 1.0 && 1.0 < ratio.high && ratio.high < 1.05, "{ratio:?}");
        assert!(ratio.detectable() < 0.05);
    }

    #[test]
    fn growth_warns_and_then_fails() {
        assert_eq!(verdict(30, 1.05), Verdict::Pass);
        assert_eq!(verdict(30, 1.18), Verdict::Warn);
        assert_eq!(verdict(30, 1.35), Verdict::Regress);
        assert_eq!(verdict(30, 0.7), Verdict::Improve);
    }

    #[test]
    fn a_single_batch_does_not_fail() {
        let mut pairs = pairs(30, 1.0);
        for (_, new) in &mut pairs[15..] {
            *new *= 2.0;
        }
        assert_ne!(judge(&pairs, &Thresholds::default()).0, Verdict::Regress);
    }

    #[test]
    fn few_pairs_say_nothing() {
        assert_eq!(verdict(4, 9.0), Verdict::Pass);
        assert_eq!(ratio(&[(0.0, 1.0); 9]), None);
    }
}
