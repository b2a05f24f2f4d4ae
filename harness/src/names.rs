//! Names for containers that nobody named.

const HOW: [&str; 16] = [
    "brave", "calm", "clever", "eager", "fresh", "gentle", "happy", "keen", "lucky", "merry", "noble", "proud",
    "quick", "quiet", "sharp", "warm",
];
const WHAT: [&str; 16] = [
    "block", "branch", "chain", "extent", "inode", "layer", "ledger", "link", "merge", "mount", "page", "pool", "root",
    "sector", "tree", "upper",
];

/// Two words and a few digits that follow from a random id.
pub fn of(id: &str) -> String {
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let pick = |words: &[&'static str; 16], shift: u32| words[(hash >> shift) as usize % words.len()];
    format!("{}_{}{:03}", pick(&HOW, 8), pick(&WHAT, 20), (hash >> 32) % 1000)
}
