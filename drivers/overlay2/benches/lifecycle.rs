//! What a container's layer costs: create, mount, unmount, remove.

use std::{fs, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use driver_overlay2::{MountApi, Options, Overlay2};
use storage_driver::{CreateOptions, LayerId, MountMode, StorageDriver};

/// A root with sealed layers, each on the one before; the last is the answer too.
fn stack(options: Options, depth: usize) -> (tempfile::TempDir, Overlay2, LayerId) {
    let dir = tempfile::tempdir().unwrap();
    let driver = Overlay2::open(dir.path(), options).unwrap();
    let mut parent = None;
    for number in 0..depth {
        let id = LayerId::new(format!("layer-{number}")).unwrap();
        driver.create(&id, parent.as_ref(), &CreateOptions::default()).unwrap();
        let layer = driver.mount(&id, MountMode::ReadWrite).unwrap();
        for file in 0..20 {
            fs::write(layer.path().join(format!("{number}-{file}")), "content").unwrap();
        }
        layer.close().unwrap();
        driver.seal(&id).unwrap();
        parent = Some(id);
    }
    (dir, driver, parent.unwrap())
}

fn container(driver: &Overlay2, id: &LayerId, image: &LayerId) {
    driver.create(id, Some(image), &CreateOptions::default()).unwrap();
    let layer = driver.mount(id, MountMode::ReadWrite).unwrap();
    // It is really there.
    assert!(black_box(layer.path().join("0-0")).exists());
    layer.close().unwrap();
    driver.remove(id).unwrap();
}

fn lifecycle(criterion: &mut Criterion) {
    let id = LayerId::new("container").unwrap();
    let mut group = criterion.benchmark_group("create+mount+unmount+remove");
    for (name, mount_api, depth) in [
        ("lowerdir+, 5 layers", MountApi::Auto, 5),
        ("mount(2), 5 layers", MountApi::Legacy, 5),
        ("lowerdir+, 100 layers", MountApi::Auto, 100),
    ] {
        let (_dir, driver, image) = stack(Options { mount_api, ..Options::default() }, depth);
        group.bench_function(name, |bencher| bencher.iter(|| container(&driver, &id, &image)));
    }
    group.finish();

    let dir = tempfile::tempdir().unwrap();
    drop(Overlay2::open(dir.path(), Options::default()).unwrap());
    criterion.bench_function("open", |bencher| {
        bencher.iter(|| Overlay2::open(dir.path(), Options::default()).unwrap());
    });
}

criterion_group!(benches, lifecycle);
criterion_main!(benches);
