//! What is in the rows, from a seed.

/// Bytes of a row's content: four of them fill a page of SQLite's usual 4 KiB, with their keys.
pub(crate) const SIZE: usize = 960;

/// Knuth's 64-bit linear congruential generator, of which the upper half is used.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        u64::from(self.next()) % bound
    }

    /// What a row holds.
    pub(crate) fn content(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
        while bytes.len() < SIZE {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }
}
