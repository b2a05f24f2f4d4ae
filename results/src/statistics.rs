//! Medians, their intervals, and spread. Means are not used: times have long tails.

use std::cmp::Ordering;

/// Resamples of a bootstrap; the interval's ends move by less than a percent of its width beyond that.
const RESAMPLES: usize = 2_000;

/// The bootstrap's seed: the same samples give the same interval on every machine.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a set of values comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// How many values.
    pub n: usize,
    /// Their median.
    pub median: f64,
    /// Ends of the 95 % percentile-bootstrap interval of the median.
    pub interval: (f64, f64),
    /// Median absolute deviation from the median, not scaled.
    pub mad: f64,
}

/// The median; the mean of the two middle values for an even number; NaN of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle(&sorted)
}

/// The median absolute deviation from the median.
#[must_use]
pub fn mad(values: &[f64]) -> f64 {
    let center = median(values);
    median(&values.iter().map(|value| (value - center).abs()).collect::<Vec<_>>())
}

/// All of it at once.
#[must_use]
pub fn estimate(values: &[f64]) -> Estimate {
    Estimate { n: values.len(), median: median(values), interval: bootstrap_medians(values), mad: mad(values) }
}

/// So many median absolute deviations off, a value is an outlier: it is kept, and flagged.
const FAR: f64 = 5.0;
/// Of fewer values the deviation says too little of what is far.
const ENOUGH: usize = 5;

/// The values that are more than five median absolute deviations away from the median; of fewer than five values, none.
#[must_use]
pub fn outliers(values: &[f64]) -> Vec<f64> {
    if values.len() < ENOUGH {
        return Vec::new();
    }
    let (center, far) = (median(values), FAR * mad(values));
    values.iter().copied().filter(|value| (value - center).abs() > far).collect()
}

fn middle(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Percentile bootstrap (Efron): medians of resamples with replacement, and where 2.5 % of them lie on each side.
pub(crate) fn bootstrap_medians(values: &[f64]) -> (f64, f64) {
    let first = values.first().copied().unwrap_or(f64::NAN);
    if values.iter().all(|value| value.total_cmp(&first) == Ordering::Equal) {
        return (first, first);
    }
    // Sorted, so that the order in which samples came does not move the interval.
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut random = SplitMix(SEED);
    let mut resample = vec![0.0; sorted.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            for value in &mut resample {
                *value = sorted[random.below(sorted.len())];
            }
            median(&resample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let cut = RESAMPLES / 40;
    (medians[cut], medians[RESAMPLES - 1 - cut])
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for drawing indices, and the same forever.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn outliers_are_far_off_by_the_deviation_of_the_others() {
        assert_eq!(outliers(&[1.0, 1.1, 0.9, 1.0, 1.05, 9.0]), [9.0]);
        assert!(outliers(&[1.0, 1.1, 0.9, 1.3, 1.2]).is_empty());
        assert!(outliers(&[1.0, 1.0, 1.0, 9.0]).is_empty(), "of four values nobody knows");
    }

    #[test]
    fn medians_and_deviations_by_hand() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
        // Deviations from 2: 1 1 0 0 2 4 7, sorted 0 0 1 1 2 4 7.
        assert_eq!(mad(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), 1.0);
        assert_eq!(mad(&[5.0; 9]), 0.0);
    }

    #[test]
    fn one_value_is_its_own_interval() {
        let one = estimate(&[7.0]);
        assert_eq!((one.n, one.median, one.interval, one.mad), (1, 7.0, (7.0, 7.0), 0.0));
    }

    #[test]
    fn the_interval_narrows_with_more_values() {
        let few: Vec<f64> = (0..9).map(f64::from).collect();
        let many: Vec<f64> = (0..900).map(|i| f64::from(i) / 100.0).collect();
        let width = |values: &[f64]| estimate(values).interval.1 - estimate(values).interval.0;
        assert!(width(&many) < width(&few) / 4.0);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_median_and_order_does_not_matter(
            mut values in proptest::collection::vec(-1e9..1e9f64, 1..40),
        ) {
            let one = estimate(&values);
            prop_assert!(one.interval.0 <= one.median && one.median <= one.interval.1);
            values.reverse();
            prop_assert_eq!(one, estimate(&values));
        }
    }
}
