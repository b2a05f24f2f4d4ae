//! The ends of an axis, its ticks, and where a value is on it.

/// An axis with its ends.
#[derive(Debug, Clone)]
pub struct Range {
    low: f64,
    high: f64,
    log: bool,
    /// Zero, which has no logarithm, has a place of its own below the others.
    zero: bool,
    pub ticks: Vec<f64>,
}

/// Of the axis, where zero has a place of its own: so much is between it and the lowest value.
const STRIP: f64 = 0.1;

impl Range {
    /// From nothing to all.
    pub fn whole() -> Self {
        Self { low: 0.0, high: 1.0, log: false, zero: false, ticks: vec![0.0, 0.25, 0.5, 0.75, 0.99] }
    }

    /// Round ends and ticks around these values.
    pub fn around(values: impl Iterator<Item = f64> + Clone, log: bool) -> Self {
        let high = values.clone().fold(0.0, f64::max);
        let zero = log && values.clone().any(|value| value <= 0.0);
        let least = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if high <= 0.0 {
            return Self { ticks: vec![0.0, 1.0], ..Self::whole() };
        }
        if log {
            let (from, to) = (least.log10().floor(), high.log10().ceil().max(least.log10().floor() + 1.0));
            let step = ((to - from) / 6.0).ceil().max(1.0);
            let ticks = (0..).map(|i| from + f64::from(i) * step).take_while(|power| *power <= to + 0.1);
            let ticks = zero.then_some(0.0).into_iter().chain(ticks.map(|p| 10f64.powf(p))).collect();
            return Self { low: 10f64.powf(from), high: 10f64.powf(to), log, zero, ticks };
        }
        let rough = high / 4.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|factor| factor * magnitude);
        let step = steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * magnitude);
        let count = (high / step * 0.999).ceil();
        let ticks = (0..=count as u32).map(|index| f64::from(index) * step).collect();
        Self { low: 0.0, high: count * step, log, zero, ticks }
    }

    /// Ticks at the very values, as many as there is room for.
    pub fn at(mut values: Vec<f64>, log: bool, room: usize) -> Self {
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (low, high) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(1.0));
        let log = log && low > 0.0;
        let every = values.len().div_ceil(room).max(1);
        let ticks = values.iter().copied().step_by(every).collect();
        let (low, high) = if low < high { (low, high) } else { (low * 0.5, low * 2.0) };
        Self { low, high, log, zero: false, ticks }
    }

    pub fn place(&self, value: f64) -> f64 {
        if self.zero && value <= 0.0 {
            return 0.0;
        }
        let fraction = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        let fraction = fraction.clamp(0.0, 1.0);
        if self.zero { STRIP + (1.0 - STRIP) * fraction } else { fraction }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_round_ends() {
        let range = Range::around([0.0, 37.0].into_iter(), false);
        assert_eq!((range.low, range.high, range.ticks.len()), (0.0, 40.0, 5));
        let range = Range::around([0.0003, 0.2].into_iter(), true);
        assert!((range.low - 1e-4).abs() < 1e-12 && (range.high - 1.0).abs() < 1e-9);
        assert_eq!(range.ticks.len(), 5);
        assert_eq!(Range::around([5.0].into_iter(), true).ticks.len(), 2);
        assert_eq!(Range::around(std::iter::empty(), true).place(0.5), 0.5);
    }

    #[test]
    fn zero_has_a_place_of_its_own_below_a_logarithm() {
        let range = Range::around([0.0, 4096.0, 1e6].into_iter(), true);
        assert_eq!(range.ticks, [0.0, 1e3, 1e4, 1e5, 1e6]);
        assert_eq!((range.place(0.0), range.place(1e6)), (0.0, 1.0));
        assert!((range.place(1e3) - STRIP).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_where_it_was_measured() {
        assert_eq!(Range::at(vec![8.0, 1.0, 64.0, 8.0], true, 5).ticks, [1.0, 8.0, 64.0]);
        assert_eq!(Range::at((1..=20).map(f64::from).collect(), false, 5).ticks, [1.0, 5.0, 9.0, 13.0, 17.0]);
    }
}
