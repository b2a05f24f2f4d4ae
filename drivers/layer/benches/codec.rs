//! Import and export of a layer with the shape of a slim image: about 4,000 files and 80 MB.

use std::{
    fs,
    io::{Write, sink},
    path::Path,
    time::Duration,
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use storage_layer::{ApplyOptions, DigestWriter, apply, overlay, overlay::XattrNamespace, tree};

const FILES: u32 = 4_000;
const FILES_PER_DIRECTORY: u32 = 25;

/// The same bytes in every run: xorshift, from a fixed seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Half noise and half text, so that it compresses about as programs do.
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 16);
        while bytes.len() < length {
            bytes.extend(self.next().to_le_bytes());
            bytes.extend(b"layered ");
        }
        bytes.truncate(length);
        bytes
    }

    /// Most files are small, a few hold most of the bytes.
    fn size(&mut self) -> usize {
        let size = match self.next() % 100 {
            0..60 => self.next() % 4_096,
            60..90 => self.next() % 24_576,
            90..99 => self.next() % 131_072,
            _ => self.next() % 1_500_000,
        };
        usize::try_from(size).unwrap_or(0)
    }
}

fn make_tree(root: &Path) {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for n in 0..FILES {
        let directory = n / FILES_PER_DIRECTORY;
        let parent = root.join(format!("usr/lib/part{}/package{directory}", directory % 10));
        fs::create_dir_all(&parent).unwrap();
        let size = noise.size();
        fs::write(parent.join(format!("file{n}.so")), noise.bytes(size)).unwrap();
    }
}

fn export(upper: &Path) -> Vec<u8> {
    let mut tar = Vec::new();
    tree::diff(None, upper, &mut tar).unwrap();
    tar
}

fn codec(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let upper = dir.path().join("upper");
    make_tree(&upper);
    let tar = export(&upper);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    let gzip = encoder.finish().unwrap();
    let zstd = zstd::encode_all(tar.as_slice(), 3).unwrap();

    let mut group = c.benchmark_group("layer");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(tar.len() as u64));
    for (name, blob) in [("apply/plain", &tar), ("apply/gzip", &gzip), ("apply/zstd", &zstd)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir_in(dir.path()).unwrap(),
                |root| {
                    apply(root.path(), &mut blob.as_slice(), &ApplyOptions::default()).unwrap();
                    // Deleted only at the very end: for some seconds ext4 shuns the inodes of deleted files, and
                    // searching for others would be what is measured.
                    std::mem::forget(root);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("diff/all", |bencher| {
        bencher.iter(|| tree::diff(None, &upper, &mut DigestWriter::new(sink())).unwrap());
    });
    group.bench_function("diff/nothing changed", |bencher| {
        let copy = dir.path().join("copy");
        fs::create_dir_all(&copy).unwrap();
        apply(&copy, &mut tar.as_slice(), &ApplyOptions::default()).unwrap();
        bencher.iter(|| tree::diff(Some(&upper), &copy, &mut DigestWriter::new(sink())).unwrap());
    });
    group.finish();
    small_files(c, dir.path());
}

/// The export of 5,000 small changed files from an overlay's upper directory.
fn small_files(c: &mut Criterion, dir: &Path) {
    let (lower, upper) = (dir.join("small.lower"), dir.join("small.upper"));
    let mut noise = Noise(7);
    for root in [&lower, &upper] {
        for n in 0..5_000 {
            let parent = root.join(format!("srv/app/{}", n / 50));
            fs::create_dir_all(&parent).unwrap();
            fs::write(parent.join(format!("file{n}")), noise.bytes(1_000)).unwrap();
        }
    }
    let lowers = [lower];
    let mut group = c.benchmark_group("layer");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("diff/5000 small files of an upper", |bencher| {
        let diff = || overlay::diff(&upper, &lowers, XattrNamespace::Trusted, &mut DigestWriter::new(sink())).unwrap();
        bencher.iter(diff);
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
