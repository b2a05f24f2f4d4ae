//! Making, loading and committing images, durable as in use; overlay2, so root is needed.
//!
//! Data lies below `$TMPDIR` (default /tmp): its file system is what is measured.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use driver_overlay2::{Options, Overlay2};
use harness_image::{
    ChainId, Image, LayerBlob, Layers, PrepareOptions, Store,
    base::{Base, host},
};
use storage_driver::{LayerId, MountMode, StorageDriver};
use storage_layer::{ApplyOptions, Attributes, DigestWriter, TarWriter};
use tempfile::TempDir;

struct Setup {
    driver: Arc<dyn StorageDriver>,
    store: Arc<Store>,
    _dir: TempDir,
}

impl Setup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("images")).unwrap();
        let driver = overlay2(&dir.path().join("overlay2"));
        Self { driver, store, _dir: dir }
    }

    fn layers(&self) -> Layers {
        Layers::new(self.store.clone(), self.driver.clone()).unwrap()
    }

    fn base(&self, name: &str) -> Image {
        name.parse::<Base>().unwrap().ensure(&self.store).unwrap()
    }
}

fn overlay2(root: &Path) -> Arc<dyn StorageDriver> {
    Arc::new(Overlay2::open(root, Options::default()).unwrap())
}

fn bases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("make");
    group.sample_size(10);
    for name in ["tiny", "slim"] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let round = |_| {
                    let setup = Setup::new();
                    timed(|| drop(setup.base(name)))
                };
                (0..rounds).map(round).sum()
            });
        });
    }
    let setup = Setup::new();
    group.bench_function("host, again", |bencher| bencher.iter(|| host(&setup.store).unwrap()));
    group.finish();
}

/// From blobs in the store to sealed layers on the driver: what `docker load` does after reading the archive.
///
/// Every round has a driver root of its own, and all go at the end: for some seconds ext4 shuns the inodes of deleted
/// files, and searching for others would be what is measured.
fn ensure(criterion: &mut Criterion) {
    let setup = Setup::new();
    let mut group = criterion.benchmark_group("ensure");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    for name in ["slim", "app"] {
        let image = setup.base(name);
        let rooms = tempfile::tempdir().unwrap();
        group.throughput(Throughput::Bytes(image.size().get()));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let round = |_| {
                    let room = tempfile::tempdir_in(rooms.path()).unwrap().keep();
                    let layers = Layers::new(setup.store.clone(), overlay2(&room)).unwrap();
                    timed(|| drop(layers.ensure(&image).unwrap()))
                };
                (0..rounds).map(round).sum()
            });
        });
    }
    group.finish();
}

/// The codec alone: the image's layer tars onto an empty tree, without sync.
fn apply(criterion: &mut Criterion) {
    let setup = Setup::new();
    let mut group = criterion.benchmark_group("apply");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    for name in ["slim", "app"] {
        let image = setup.base(name);
        let rooms = tempfile::tempdir().unwrap();
        group.throughput(Throughput::Bytes(image.size().get()));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| apply_once(&setup.store, &image, rooms.path())).sum());
        });
    }
    group.finish();
}

fn apply_once(store: &Store, image: &Image, rooms: &Path) -> Duration {
    let root = tempfile::tempdir_in(rooms).unwrap().keep();
    timed(|| {
        for layer in image.layers() {
            let mut tar = store.blobs().open_blob(&layer.digest).unwrap();
            storage_layer::apply(&root, &mut tar, &ApplyOptions::default()).unwrap();
        }
    })
}

/// Every layer's native diff, with its digest.
fn diff(criterion: &mut Criterion) {
    let setup = Setup::new();
    let mut group = criterion.benchmark_group("diff");
    group.sample_size(10);
    for name in ["slim", "app"] {
        let image = setup.base(name);
        let top = setup.layers().ensure(&image).unwrap();
        let mut chain = Vec::new();
        let mut next = top.clone();
        while let Some(id) = next {
            next = setup.driver.stat(&id).unwrap().parent;
            chain.push(id);
        }
        group.throughput(Throughput::Bytes(image.size().get()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for id in &chain {
                    let mut out = DigestWriter::new(std::io::sink());
                    setup.driver.diff(id, &mut out).unwrap();
                }
            });
        });
    }
    group.finish();
}

/// Diff, blob, digest, seal: all that makes an image layer of a container's changes, durable.
fn commit(criterion: &mut Criterion) {
    const FILES: u32 = 5000;
    let setup = Setup::new();
    let image = many_files(&setup.store, FILES);
    let layers = setup.layers();
    let below = layers.ensure(&image).unwrap().unwrap();
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(10);
    for changed in [1, FILES] {
        group.throughput(Throughput::Elements(changed.into()));
        group.bench_function(format!("{changed} changed files"), |bencher| {
            bencher.iter_custom(|rounds| {
                let round = |round| commit_once(&layers, &below, image.chain().as_ref(), changed, round);
                (0..rounds).map(round).sum()
            });
        });
    }
    group.finish();
}

fn commit_once(layers: &Layers, below: &LayerId, chain: Option<&ChainId>, changed: u32, round: u64) -> Duration {
    let id = layers.prepare(Some(below), &PrepareOptions::default()).unwrap();
    let mounted = layers.driver().mount(&id, MountMode::ReadWrite).unwrap();
    for number in 0..changed {
        let path = mounted.path().join(path_of(number));
        writeln!(fs::OpenOptions::new().append(true).open(path).unwrap(), "changed {round}").unwrap();
    }
    mounted.close().unwrap();
    let started = Instant::now();
    let committed = layers.commit(&id, chain).unwrap();
    let time = started.elapsed();
    assert!(committed.stats.entries >= changed.into());
    layers.driver().remove(&committed.layer).unwrap();
    time
}

fn path_of(number: u32) -> String {
    format!("data/{:02}/{number:05}", number % 100)
}

fn many_files(store: &Store, files: u32) -> Image {
    let attributes = Attributes { mode: 0o755, mtime: (1_700_000_000, 0), ..Attributes::default() };
    let mut writer = TarWriter::new(store.blobs().create().unwrap());
    for number in 0..files {
        let content = [number as u8; 4096];
        writer.file(path_of(number).as_bytes(), &attributes, 4096, &mut &content[..]).unwrap();
    }
    let blob = writer.finish().unwrap().commit().unwrap();
    let config = oci_spec::image::ImageConfigurationBuilder::default().build().unwrap();
    store.put_image(config, vec![LayerBlob::plain(blob)]).unwrap()
}

fn timed(action: impl FnOnce()) -> Duration {
    let started = Instant::now();
    action();
    started.elapsed()
}

criterion_group!(benches, bases, ensure, apply, diff, commit);
criterion_main!(benches);
