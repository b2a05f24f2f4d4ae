//! Every target with its seeds and with changes of them: the same ones each time, for a few seconds.

use std::{fs, path::Path};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use storage_layer::{Attributes, TarWriter};

/// Changed inputs of a target that is fast, and of one that makes files.
const MANY: usize = 10_000;
const SOME: usize = 1000;

/// What readers look for.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\\",
    b"\"",
    b"'",
    b"$",
    b"${",
    b"}",
    b"<<",
    b"**",
    b"../",
    b"/",
    b":",
    b"@sha256:",
    b"!",
    b"[",
    b"-1",
    b"4294967296",
    b"18446744073709551615",
    b"\xff\xfe",
    b"{",
    b"]",
    b"[[[[[[[[",
    b"FROM ",
];

/// The longest input: libFuzzer's default.
const LONGEST: usize = 4096;

struct Changes {
    random: ChaCha8Rng,
    seeds: Vec<Vec<u8>>,
}

impl Changes {
    /// Of the seeds in `seeds/` by this name, and of others.
    fn of(name: &str, others: Vec<Vec<u8>>) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut paths: Vec<_> = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let seeds = paths.iter().map(|path| fs::read(path).unwrap()).chain(others).collect::<Vec<_>>();
        assert!(!seeds.is_empty(), "there are no seeds for {name}");
        Self { random: ChaCha8Rng::seed_from_u64(name.len() as u64), seeds }
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.random.random_range(0..end) }
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.below(length + 1), self.below(length + 1));
        a.min(b)..a.max(b)
    }

    fn next(&mut self) -> Vec<u8> {
        let number = self.below(self.seeds.len());
        let mut input = self.seeds[number].clone();
        for _ in 0..=self.below(8) {
            self.change(&mut input);
        }
        input.truncate(LONGEST.max(self.seeds[number].len()));
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.random.random(),
            2 => _ = input.drain(self.range(input.len())),
            3 => {
                let part = input[self.range(input.len())].to_vec();
                input.splice(at..at, part);
            }
            4 => {
                let other = self.below(self.seeds.len());
                let range = self.range(self.seeds[other].len());
                let part = self.seeds[other][range].to_vec();
                input.splice(at..at, part);
            }
            5 => input.truncate(at),
            _ => {
                let token = TOKENS[self.below(TOKENS.len())];
                let times = 1 + self.below(3);
                input.splice(at..at, token.repeat(times));
            }
        }
    }

    /// All seeds, then so many changes.
    fn each(mut self, count: usize, target: impl Fn(&[u8])) {
        self.seeds.iter().for_each(|seed| target(seed));
        (0..count).for_each(|_| target(&self.next()));
    }
}

/// Two parts of an input, at a zero byte where it has one.
fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let middle = input.iter().position(|byte| *byte == 0).unwrap_or(input.len() / 2);
    input.split_at(middle)
}

#[test]
fn dockerfiles() {
    Changes::of("dockerfile", Vec::new()).each(MANY, fuzz::dockerfile);
}

#[test]
fn dockerignores() {
    let paths = [b"a/b\0src/lib/a.o".to_vec(), b"**/*.md\n!docs/**\0docs/x.md".to_vec()];
    Changes::of("dockerignore", paths.to_vec()).each(MANY, |input| {
        let (text, path) = halves(input);
        fuzz::dockerignore(&String::from_utf8_lossy(text), &String::from_utf8_lossy(path));
    });
}

#[test]
fn references() {
    Changes::of("reference", Vec::new()).each(MANY, |input| fuzz::reference(&String::from_utf8_lossy(input)));
}

#[test]
fn manifests() {
    let types = [None, Some("application/vnd.oci.image.index.v1+json"), Some("text/html")];
    Changes::of("manifest", Vec::new()).each(MANY, |input| {
        types.iter().for_each(|declared| fuzz::manifest(*declared, input));
    });
}

#[test]
fn configurations() {
    Changes::of("configuration", Vec::new()).each(MANY, |input| {
        fuzz::configuration(input, input);
        let (configuration, manifest) = halves(input);
        fuzz::configuration(configuration, manifest);
    });
}

#[test]
fn mount_tables() {
    let own = fs::read("/proc/self/mountinfo").unwrap();
    let one = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n".to_vec();
    Changes::of("mountinfo", vec![own, one]).each(MANY, fuzz::mountinfo);
}

/// A tar with one entry of each kind.
fn tar() -> Vec<u8> {
    let attributes = Attributes { mode: 0o644, ..Attributes::default() };
    let mut tar = TarWriter::new(Vec::new());
    tar.directory(b"d", &attributes).unwrap();
    tar.file(b"d/file", &attributes, 5, &mut &b"hello"[..]).unwrap();
    tar.file(&[b"d/".as_slice(), &[b'n'; 150]].concat(), &attributes, 1, &mut &b"x"[..]).unwrap();
    tar.symlink(b"d/soft", b"../d/file", &attributes).unwrap();
    tar.hard_link(b"d/hard", b"d/file", &attributes).unwrap();
    tar.file(b"d/.wh.gone", &attributes, 0, &mut &b""[..]).unwrap();
    tar.finish().unwrap()
}

#[test]
fn layer_tars() {
    Changes::of("layer_tar", vec![tar()]).each(SOME, fuzz::layer_tar);
}
