//! From values to pixels.

/// A linear axis from zero, or a logarithmic one where values differ too much for one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

/// Beyond this ratio a linear bar of the smallest value could not be seen.
const SPAN: f64 = 20.0;

impl Scale {
    /// For these values; `stacked` bars only make sense on a linear axis.
    pub fn new(values: impl Iterator<Item = f64> + Clone, stacked: bool) -> Self {
        let positive = values.filter(|value| *value > 0.0);
        let high = positive.clone().fold(0.0, f64::max);
        let low = positive.fold(f64::INFINITY, f64::min);
        if high == 0.0 {
            return Self { low: 0.0, high: 1.0, log: false };
        }
        if !stacked && high / low > SPAN {
            // From below the smallest, so that its bar has a length.
            return Self { low: 10f64.powf((low / 2.0).log10().floor()), high: high * 1.1, log: true };
        }
        Self { low: 0.0, high: high * 1.02, log: false }
    }

    pub const fn is_log(&self) -> bool {
        self.log
    }

    /// Where a value is, from 0 at the start of the axis to 1 at its end.
    pub fn at(&self, value: f64) -> f64 {
        let fraction = if self.log {
            if value <= self.low { 0.0 } else { (value / self.low).ln() / (self.high / self.low).ln() }
        } else {
            (value - self.low) / (self.high - self.low)
        };
        fraction.clamp(0.0, 1.0)
    }

    /// Round values along the axis.
    pub fn ticks(&self) -> Vec<f64> {
        if self.log {
            let first = self.low.log10().round() as i32;
            let decades = (first..).map(|power| 10f64.powi(power)).take_while(|tick| *tick <= self.high);
            return decades.collect();
        }
        let rough = self.high / 6.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * magnitude).find(|step| *step >= rough);
        let step = step.unwrap_or(magnitude * 10.0);
        (0..).map(|index| f64::from(index) * step).take_while(|tick| *tick <= self.high).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_values_are_linear_and_far_ones_logarithmic() {
        let near = Scale::new([3.0, 12.0].into_iter(), false);
        assert!(!near.is_log());
        assert_eq!(near.ticks(), [0.0, 5.0, 10.0]);
        let far = Scale::new([0.0, 500.0, 2_000_000.0].into_iter(), false);
        assert!(far.is_log());
        assert_eq!(far.at(0.0), 0.0);
        assert!(far.at(500.0) > 0.0 && far.at(2_000_000.0) < 1.0);
        assert_eq!(far.ticks(), [100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0]);
        assert!(!Scale::new([1.0, 1000.0].into_iter(), true).is_log());
        assert_eq!(Scale::new(std::iter::empty(), false).at(1.0), 1.0);
    }
}
