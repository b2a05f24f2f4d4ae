use rand_chacha::ChaCha8Rng;

use super::random::{Quantiles, below};

const CONSONANTS: &[u8] = b"bcdfghklmnprstvz";
const VOWELS: &[u8] = b"aeiou";
const ENDINGS: [&str; 8] = [".so", ".py", ".txt", ".conf", ".h", ".mo", ".list", ".gz"];

/// A file name such as people and build systems give, of a length drawn from `lengths`.
pub fn name(lengths: &Quantiles, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let length = lengths.draw(rng).max(1) as usize;
    let ending = ENDINGS[below(rng, ENDINGS.len() as u64) as usize].as_bytes();
    let with_ending = length > ending.len() + 2 && below(rng, 2) == 0;
    let stem = if with_ending { length - ending.len() } else { length };
    let mut name = Vec::with_capacity(length);
    let mut word = 0;
    while name.len() < stem {
        if word >= 5 && name.len() + 1 < stem && below(rng, 3) == 0 {
            name.push(b"-_."[below(rng, 3) as usize]);
            word = 0;
        } else {
            let letters = if word % 2 == 0 { CONSONANTS } else { VOWELS };
            name.push(letters[below(rng, letters.len() as u64) as usize]);
            word += 1;
        }
    }
    if with_ending {
        name.extend_from_slice(ending);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::synthetic::content::generator;

    #[test]
    fn names_have_the_length_asked_for_and_are_plain() {
        let mut rng = generator("test");
        for length in 1..60 {
            let table: &'static [(u32, u32)] = vec![(0, length), (1000, length)].leak();
            let name = name(&Quantiles(table), &mut rng);
            assert_eq!(name.len(), length as usize);
            assert!(name[0].is_ascii_lowercase());
            assert!(name.iter().all(|b| b.is_ascii_lowercase() || b"-_.".contains(b)));
        }
    }
}
