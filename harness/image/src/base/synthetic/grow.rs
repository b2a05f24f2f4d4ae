use rand_chacha::ChaCha8Rng;

use super::{
    content::generator,
    names,
    random::{Quantiles, below, shuffle},
    sizes::{self, SizeClass},
};
use crate::base::tree::{LayerTree, Node, Source};

/// What a layer of a made-up image looks like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// New directories at each depth, from 1.
    pub directories: &'static [u32],
    /// Regular files by size.
    pub files: &'static [SizeClass],
    pub symlinks: u32,
    pub hard_links: u32,
    /// Files with the setuid or setgid bit, among the executables.
    pub setuid: u32,
    /// Of a hundred files so many are executable.
    pub executable_percent: u32,
    /// Entries of a directory, its directories not counted.
    pub entries: Quantiles,
    pub names: Quantiles,
}

/// Where a layer grows.
#[derive(Debug, Default)]
pub struct Ground<'a> {
    /// Part of every name that randomness is drawn from.
    pub name: &'a str,
    /// Directories with their modes that are made first; they count among the shape's.
    pub skeleton: &'a [(&'a str, u32)],
    /// Which of them stay as they are.
    pub closed: &'a [&'a str],
    /// Which of them hold the most.
    pub crowded: &'a [&'a str],
    /// Directories of the layers below that new ones and new files are put into.
    pub hosts: Vec<Vec<u8>>,
    /// All layers below.
    pub below: LayerTree,
}

struct Grower<'a> {
    shape: &'a Shape,
    ground: &'a Ground<'a>,
    rng: ChaCha8Rng,
    tree: LayerTree,
    /// By depth, those that further ones may grow in.
    open: Vec<Vec<Vec<u8>>>,
}

/// Makes a layer of this shape. What grows in directories of the layers below is added to those.
pub fn grow(shape: &Shape, ground: &Ground<'_>) -> LayerTree {
    let mut grower = Grower {
        shape,
        ground,
        rng: generator(ground.name),
        tree: LayerTree::default(),
        open: vec![Vec::new(); shape.directories.len() + 1],
    };
    grower.directories();
    grower.entries();
    grower.hard_links();
    grower.tree
}

impl Grower<'_> {
    fn directories(&mut self) {
        let mut made = vec![0; self.open.len()];
        for (path, mode) in self.ground.skeleton {
            self.tree.directory(path.as_bytes(), *mode);
            let depth = depth(path.as_bytes());
            made[depth] += 1;
            if !self.ground.closed.contains(path) {
                self.open[depth].push(path.as_bytes().to_vec());
            }
        }
        for host in &self.ground.hosts {
            self.open[depth(host)].push(host.clone());
        }
        for (level, count) in self.shape.directories.iter().enumerate() {
            let depth = level + 1;
            for _ in made[depth]..*count {
                let parents = &self.open[level];
                // The smaller of two draws: a few directories have many, most have none.
                let choices = parents.len().max(1) as u64;
                let choice = below(&mut self.rng, choices).min(below(&mut self.rng, choices));
                let parent = parents.get(choice as usize).cloned().unwrap_or_default();
                let path = self.fresh(&parent);
                self.tree.directory(&path, 0o755);
                self.open[depth].push(path);
            }
        }
    }

    fn entries(&mut self) {
        let total: u32 = self.shape.files.iter().map(|class| class.files).sum();
        let mut slots = self.slots(total + self.shape.symlinks);
        shuffle(&mut slots, &mut self.rng);
        let sizes = sizes::draw(self.shape.files, &mut self.rng);
        let executables = sizes.len() as u64 * u64::from(self.shape.executable_percent) / 100;
        let mut files: Vec<Vec<u8>> = Vec::new();
        for ((number, size), directory) in sizes.into_iter().enumerate().zip(&slots) {
            let path = self.fresh(directory);
            let mode = match number as u64 {
                n if n < u64::from(self.shape.setuid) => [0o4755, 0o4755, 0o4755, 0o2755][number % 4],
                n if n < executables => 0o755,
                _ => 0o644,
            };
            let key = format!("{}/{}", self.ground.name, String::from_utf8_lossy(&path));
            self.tree.file(&path, mode, size, Source::Seed(key));
            files.push(path);
        }
        for directory in &slots[total as usize..] {
            let path = self.fresh(directory);
            let target = files[below(&mut self.rng, files.len() as u64) as usize].clone();
            self.tree.symlink(&path, &[b"/", target.as_slice()].concat());
        }
    }

    /// As many directories as there are entries to be, each as often as it gets some.
    fn slots(&mut self, total: u32) -> Vec<Vec<u8>> {
        let mut directories: Vec<Vec<u8>> = self.open.concat();
        shuffle(&mut directories, &mut self.rng);
        directories.sort_by_key(|path| {
            let place = self.ground.crowded.iter().position(|crowded| crowded.as_bytes() == path.as_slice());
            place.unwrap_or(usize::MAX)
        });
        let count = directories.len();
        let rank = |n: usize| 1000.0 - (n as f64 + 0.5) * 1000.0 / count as f64;
        let mut shares: Vec<u32> = (0..count).map(|n| self.shape.entries.at(rank(n))).collect();
        let mut sum: u32 = shares.iter().sum();
        while sum != total {
            // Not the first, which holds the most.
            let share = &mut shares[1 + below(&mut self.rng, count as u64 - 1) as usize];
            let step = share.div_ceil(16);
            if sum < total {
                let more = step.min(total - sum);
                *share += more;
                sum += more;
            } else {
                let less = step.min(sum - total);
                *share -= less;
                sum -= less;
            }
        }
        let repeat = |(path, share): (Vec<u8>, u32)| std::iter::repeat_n(path, share as usize);
        directories.into_iter().zip(shares).flat_map(repeat).collect()
    }

    fn hard_links(&mut self) {
        let files: Vec<(Vec<u8>, u32)> = self
            .tree
            .iter()
            .filter(|(_, entry)| matches!(entry.node, Node::File { .. }))
            .map(|(path, entry)| (path.to_vec(), entry.mode))
            .collect();
        for _ in 0..self.shape.hard_links {
            let (target, mode) = &files[below(&mut self.rng, files.len() as u64) as usize];
            // A longer name sorts after the one it links to.
            let mut path = target.clone();
            while self.tree.contains(&path) {
                path.push(b'0');
            }
            self.tree.hard_link(&path, target, *mode);
        }
    }

    /// A path in `directory` that nothing has yet.
    fn fresh(&mut self, directory: &[u8]) -> Vec<u8> {
        loop {
            let name = names::name(&self.shape.names, &mut self.rng);
            let path = if directory.is_empty() { name } else { [directory, b"/", name.as_slice()].concat() };
            if !self.tree.contains(&path) && !self.ground.below.contains(&path) {
                return path;
            }
        }
    }
}

/// The number of components.
pub fn depth(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { 1 + path.iter().filter(|byte| **byte == b'/').count() }
}
