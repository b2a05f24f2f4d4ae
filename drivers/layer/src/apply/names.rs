use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

/// Names in directories, which are only ever asked for: each is kept as 128 bits of a hash, whose keys nobody outside knows, so
/// that a tar of millions of long names does not fill the memory. That two names are taken for one another is less likely than
/// that the memory fails.
#[derive(Debug, Default)]
pub(super) struct Names {
    keys: [RandomState; 2],
    /// By the directory's inode.
    known: HashMap<u64, HashSet<u128>>,
}

impl Names {
    pub fn insert(&mut self, dir: u64, name: &[u8]) {
        let hash = self.hash(name);
        self.known.entry(dir).or_default().insert(hash);
    }

    pub fn contains(&self, dir: u64, name: &[u8]) -> bool {
        self.known.get(&dir).is_some_and(|names| names.contains(&self.hash(name)))
    }

    /// Forgets a directory that is gone.
    pub fn forget(&mut self, dir: u64) {
        self.known.remove(&dir);
    }

    fn hash(&self, name: &[u8]) -> u128 {
        let [high, low] = self.keys.each_ref().map(|key| u128::from(key.hash_one(name)));
        high << 64 | low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_their_directory() {
        let mut names = Names::default();
        for number in 0..1000_u32 {
            names.insert(1, &number.to_le_bytes());
        }
        assert!((0..1000_u32).all(|number| names.contains(1, &number.to_le_bytes())));
        assert!((1000..3000_u32).all(|number| !names.contains(1, &number.to_le_bytes())));
        assert!(!names.contains(2, &1_u32.to_le_bytes()) && !names.contains(1, b""));
        names.forget(1);
        assert!(!names.contains(1, &1_u32.to_le_bytes()));
    }
}
