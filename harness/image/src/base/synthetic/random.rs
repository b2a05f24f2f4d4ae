//! Drawing from a generator in ways that are the same on every machine.

use rand_chacha::{ChaCha8Rng, rand_core::RngCore};

/// A number below `limit`, which is not zero and below 2^32.
pub fn below(rng: &mut ChaCha8Rng, limit: u64) -> u64 {
    (u64::from(rng.next_u32()) * limit) >> 32
}

/// A number of `0.0..1.0`.
pub fn fraction(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Fisher and Yates's shuffle.
pub fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

/// A distribution, given by its value at some fractions (in thousandths, from 0 to 1000), straight in between.
#[derive(Debug, Clone, Copy)]
pub struct Quantiles(pub &'static [(u32, u32)]);

impl Quantiles {
    /// The value at a fraction, in thousandths.
    pub fn at(&self, thousandths: f64) -> u32 {
        let mut below = (0.0, 0.0);
        for (fraction, value) in self.0 {
            let here = (f64::from(*fraction), f64::from(*value));
            if thousandths <= here.0 {
                let share = if here.0 > below.0 { (thousandths - below.0) / (here.0 - below.0) } else { 1.0 };
                return (below.1 + (here.1 - below.1) * share + 0.5) as u32;
            }
            below = here;
        }
        below.1 as u32
    }

    /// A random value.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> u32 {
        self.at(fraction(rng) * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_met_and_joined_by_straight_lines() {
        let quantiles = Quantiles(&[(0, 2), (500, 8), (1000, 46)]);
        for (at, value) in [(0.0, 2), (250.0, 5), (500.0, 8), (750.0, 27), (1000.0, 46)] {
            assert_eq!(quantiles.at(at), value);
        }
    }
}
