use rand_chacha::ChaCha8Rng;

use super::random::{below, fraction, shuffle};

/// So many files whose sizes lie in `low..high`, and that hold so many bytes together.
///
/// Real size distributions are steep within any class, so a class has its own mean: sizes are
/// `low + (high - low) * f(u)` for a uniform `u`, where `f` mixes `u` and `u^4` to give that mean. Only `+`, `-`,
/// `*` and `/` are used, which IEEE 754 rounds the same everywhere.
#[derive(Debug, Clone, Copy)]
pub struct SizeClass {
    pub files: u32,
    pub low: u64,
    pub high: u64,
    pub bytes: u64,
}

impl SizeClass {
    pub const fn new(files: u32, low: u64, high: u64, bytes: u64) -> Self {
        Self { files, low, high, bytes }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<u64> {
        let span = (self.high - self.low) as f64;
        let mean = (self.bytes as f64 / f64::from(self.files.max(1)) - self.low as f64) / span;
        // Means of u and u^4 are 1/2 and 1/5.
        let linear = ((mean - 0.2) / 0.3).clamp(0.0, 1.0);
        let mut sizes: Vec<u64> = (0..self.files)
            .map(|_| {
                let u = fraction(rng);
                let shaped = linear * u + (1.0 - linear) * (u * u * u * u);
                self.low + (span * shaped) as u64
            })
            .collect();
        self.correct(&mut sizes, rng);
        sizes
    }

    /// Takes the rest to the exact total in small random steps.
    fn correct(&self, sizes: &mut [u64], rng: &mut ChaCha8Rng) {
        if sizes.is_empty() {
            return;
        }
        let reachable = self.bytes.clamp(self.low * u64::from(self.files), (self.high - 1) * u64::from(self.files));
        let mut total: u64 = sizes.iter().sum();
        while total != reachable {
            let size = &mut sizes[below(rng, u64::from(self.files)) as usize];
            let step = (self.high - self.low) / 16 + 1;
            if total < reachable {
                let more = step.min(reachable - total).min(self.high - 1 - *size);
                *size += more;
                total += more;
            } else {
                let less = step.min(total - reachable).min(*size - self.low);
                *size -= less;
                total -= less;
            }
        }
    }
}

/// The sizes of all files of these classes, in random order.
pub fn draw(classes: &[SizeClass], rng: &mut ChaCha8Rng) -> Vec<u64> {
    let mut sizes: Vec<u64> = classes.iter().flat_map(|class| class.draw(rng)).collect();
    shuffle(&mut sizes, rng);
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::synthetic::content::generator;

    #[test]
    fn a_class_has_its_count_its_range_and_its_total() {
        for class in [
            SizeClass::new(0, 0, 1, 0),
            SizeClass::new(20, 0, 1, 0),
            SizeClass::new(1325, 1, 1024, 600_800),
            SizeClass::new(10, 1 << 20, 4 << 20, 19_676_200),
            SizeClass::new(3, 10, 20, 57),
        ] {
            let sizes = draw(&[class], &mut generator("test"));
            assert_eq!(sizes.len() as u32, class.files);
            assert_eq!(sizes.iter().sum::<u64>(), class.bytes);
            assert!(sizes.iter().all(|size| (class.low..class.high).contains(size)));
        }
    }
}
