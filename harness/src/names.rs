//! Names for containers that nobody named.

const HOW: [&str; 16] = [
    "brave", "calm", "clever", "eager", "fresh", "gentle", "happy", "keen", "lucky", "merry", "noble", "proud",
    "quick", "quiet", "sharp", "warm",
];
const WHAT: [&str; 16] = [
    "block", "branch", "chain", "extent", "inode", "layer", "ledger", "link", "merge", "mount", "page", "pool", "root",
    "sector", "tree", "upper",
];

/// Two words and a few digits that follow from a random id, others at each attempt.
pub fn of(id: &str, attempt: u32) -> String {
    let hash = id
        .bytes()
        .chain(attempt.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let pick = |words: &[&'static str; 16], shift: u32| words[(hash >> shift) as usize % words.len()];
    format!("{}_{}{:03}", pick(&HOW, 8), pick(&WHAT, 20), (hash >> 32) % 1000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn a_name_that_is_taken_is_followed_by_others() {
        let names: BTreeSet<_> =
            (0..64).map(|attempt| super::of("0a9f7b58653f1cefcf8645671bc3a1d6", attempt)).collect();
        assert!(names.len() > 60, "{names:?}");
    }
}
