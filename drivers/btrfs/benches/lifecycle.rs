//! What a container's layer costs, and what its difference from its parent does.

use std::{fs, hint::black_box, io, path::Path};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use driver_btrfs::{Btrfs, DiffBy, Options};
use harness_testbed::{Spec, Testbed};
use storage_driver::{CreateOptions, LayerId, MountMode, StorageDriver};

/// A btrfs on a loop device in memory; gone with the value.
fn bed() -> Testbed {
    let spec: Spec = "loop:btrfs,size=2G".parse().unwrap();
    let name = format!("btrfs-bench-{}", std::process::id());
    let options = harness_testbed::Options { base: "/dev/shm".into(), name, keep: false };
    Testbed::open(&spec, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn layer(driver: &Btrfs, name: &str, parent: Option<&LayerId>, change: impl FnOnce(&Path)) -> LayerId {
    let id = LayerId::new(name).unwrap();
    driver.create(&id, parent, &CreateOptions::default()).unwrap();
    let mounted = driver.mount(&id, MountMode::ReadWrite).unwrap();
    change(mounted.path());
    mounted.close().unwrap();
    id
}

fn sealed(driver: &Btrfs, name: &str, parent: Option<&LayerId>, change: impl FnOnce(&Path)) -> LayerId {
    let id = layer(driver, name, parent, change);
    driver.seal(&id).unwrap();
    id
}

fn lifecycle(criterion: &mut Criterion) {
    let bed = bed();
    let driver = Btrfs::open(&bed.path().join("root"), Options::default()).unwrap();
    let mut image = sealed(&driver, "layer-0", None, |root| fs::write(root.join("0"), "content").unwrap());
    for number in 1..5 {
        let change = |root: &Path| fs::write(root.join(number.to_string()), "content").unwrap();
        image = sealed(&driver, &format!("layer-{number}"), Some(&image), change);
    }
    criterion.bench_function("create+mount+unmount+remove, 5 layers", |bencher| {
        bencher.iter(|| {
            let id = layer(&driver, "container", Some(&image), |root| assert!(black_box(root.join("0")).exists()));
            driver.remove(&id).unwrap();
        });
    });
    driver.wait_for_space().unwrap();
    let mut number = 0;
    criterion.bench_function("seal a layer of one file", |bencher| {
        let make = || {
            number += 1;
            layer(&driver, &format!("sealed-{number}"), Some(&image), |root| fs::write(root.join("x"), "x").unwrap())
        };
        bencher.iter_batched(make, |id| driver.seal(&id).unwrap(), BatchSize::PerIteration);
    });
    drop(driver);
    bed.close().unwrap();
}

fn difference(criterion: &mut Criterion) {
    let bed = bed();
    let root = bed.path().join("root");
    let driver = Btrfs::open(&root, Options::default()).unwrap();
    let base = sealed(&driver, "base", None, |root| {
        for directory in 0..200 {
            let directory = root.join(format!("d{directory:03}"));
            fs::create_dir(&directory).unwrap();
            (0..100).for_each(|file| fs::write(directory.join(format!("f{file:02}")), "content").unwrap());
        }
    });
    let top = sealed(&driver, "top", Some(&base), |root| fs::write(root.join("d100/f50"), "changed").unwrap());
    drop(driver);
    let mut group = criterion.benchmark_group("diff of 1 file in 20000");
    for (name, diff) in [("generation", DiffBy::Generation), ("walk", DiffBy::Walk)] {
        let driver = Btrfs::open(&root, Options { diff, ..Options::default() }).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| driver.diff(&top, &mut io::sink()).unwrap()));
    }
    group.finish();
    bed.close().unwrap();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = lifecycle, difference
}
criterion_main!(benches);
