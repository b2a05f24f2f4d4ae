//! Each workload once, whole, on each driver that needs no device-mapper.

use std::path::Path;

use driver_btrfs::Btrfs;
use driver_memory::MemoryDriver;
use driver_overlay2::Overlay2;
use driver_vfs::Vfs;
use harness_testbed::Testbed;
use storage_driver::MountMode;

use crate::engine::{Bare, Caches, Recorded, run};

/// Small enough for a test, large enough that every part is done.
const SMALL: [(&str, &[(&str, &str)]); 9] = [
    ("copyup", &[("sizes", "100,4096,200000"), ("depths", "1,3")]),
    ("metadata", &[("trees", "all"), ("files", "120"), ("storm", "20")]),
    ("read", &[("containers", "1,3"), ("files", "2"), ("size", "65536"), ("blocks", "5")]),
    ("layers", &[("depths", "1,5"), ("files", "10")]),
    ("diff", &[("cases", "all"), ("files", "150"), ("changed", "50")]),
    ("commit", &[("cases", "all"), ("files", "150"), ("changed", "50")]),
    ("apply", &[("cases", "all"), ("files", "150"), ("changed", "50")]),
    ("delete", &[("size", "1048576"), ("files", "50"), ("layers", "3")]),
    ("snapshotter", &[("layers", "7"), ("size", "5000")]),
];

fn small(name: &str) -> &'static [(&'static str, &'static str)] {
    SMALL.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Runs all of them, and none may leave a layer behind but those of the base images.
fn all(open: impl Fn(&Path) -> Bare) {
    let dir = tempfile::tempdir().unwrap();
    all_of(open(&dir.path().canonicalize().unwrap()));
}

fn all_of(mut engine: Bare) {
    for (name, params) in SMALL {
        let recorded = run(name, params, &mut engine).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!recorded.is_empty(), "{name} records nothing");
        let left = workloads::Engine::driver(&engine).list().unwrap();
        let own: Vec<_> = left.iter().filter(|layer| layer.id.as_str().starts_with(&format!("{name}."))).collect();
        assert!(own.is_empty(), "{name} leaves {own:?}");
    }
    workloads::Engine::driver(&engine).shutdown().unwrap();
}

fn memory() -> (tempfile::TempDir, Bare) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Bare::new(MemoryDriver::open(dir.path()).unwrap());
    (dir, engine)
}

/// A btrfs of this test's own.
fn btrfs_bed() -> Testbed {
    let name = format!("workloads-{}-{:?}", std::process::id(), std::thread::current().id());
    let options = harness_testbed::Options { base: std::env::temp_dir(), name, keep: false };
    Testbed::open(&"loop:btrfs,size=1G".parse().unwrap(), &options).unwrap_or_else(|error| panic!("{error}"))
}

fn btrfs(dir: &Path) -> Btrfs {
    Btrfs::open(&dir.join("driver"), driver_btrfs::Options::default()).unwrap()
}

fn value(recorded: &Recorded, cell: &str) -> f64 {
    let values = recorded.get(cell).unwrap_or_else(|| panic!("no {cell} among {:?}", recorded.keys()));
    values[0]
}

#[test]
fn all_run_in_memory() {
    all(|dir| Bare::new(MemoryDriver::open(dir).unwrap()));
}

#[test]
fn privileged_all_run_on_vfs() {
    all(|dir| Bare::new(Vfs::open(dir, driver_vfs::Options::default()).unwrap()));
}

#[test]
fn privileged_all_run_on_overlay2() {
    all(|dir| Bare::new(Overlay2::open(dir, driver_overlay2::Options::default()).unwrap()));
}

#[test]
fn privileged_all_run_on_btrfs() {
    let bed = btrfs_bed();
    all_of(Bare::new(btrfs(bed.path())));
    bed.close().unwrap();
}

#[test]
fn privileged_what_btrfs_takes_for_a_first_write_is_a_block_whatever_the_file() {
    let bed = btrfs_bed();
    let mut engine = Bare::new(btrfs(bed.path()));
    let params = [("sizes", "65536,1048576"), ("depths", "1,2"), ("operations", "overwrite,chmod")];
    let recorded = run("copyup", &params, &mut engine).unwrap();
    drop(engine);
    bed.close().unwrap();
    for cell in ["depth=1 op=overwrite size=65536", "depth=2 op=overwrite size=1048576"] {
        assert_eq!(value(&recorded, &format!("first copied_up_files {cell}")), 0.0);
        // One block of data, and of metadata the leaves that now say where it is.
        let taken = value(&recorded, &format!("first allocated_bytes {cell}"));
        assert!((4096.0..131_072.0).contains(&taken), "{cell}: {taken}");
    }
}

#[test]
fn privileged_what_overlay2_copies_up_is_the_whole_file_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Bare::new(Overlay2::open(dir.path(), driver_overlay2::Options::default()).unwrap());
    let recorded = run("copyup", &[("sizes", "1048576"), ("depths", "2")], &mut engine).unwrap();
    let cell = |phase: &str, metric: &str, op: &str| {
        value(&recorded, &format!("{phase} {metric} depth=2 op={op} size=1048576"))
    };
    for op in ["append", "overwrite", "mmap", "rename", "link"] {
        assert_eq!(cell("first", "copied_up_files", op), 1.0, "{op}");
        assert!((1_048_576.0..1_060_000.0).contains(&cell("first", "copied_up_bytes", op)), "{op}");
        assert_eq!(cell("second", "copied_up_files", op), 0.0, "{op}");
    }
    assert_eq!(cell("first", "copied_up_files", "unlink"), 0.0);
    assert!(!recorded.keys().any(|cell| cell.starts_with("second") && cell.contains("op=unlink")));
}

#[test]
fn privileged_without_the_right_to_drop_caches_only_what_is_cached_is_read_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let driver = Overlay2::open(dir.path(), driver_overlay2::Options::default()).unwrap();
    let mut engine = Bare::new(driver);
    let recorded = run("read", small("read"), &mut engine).unwrap();
    assert!(recorded.keys().all(|cell| !cell.contains("cold")), "{:?}", recorded.keys());
    assert!(engine.left_out.iter().any(|what| what.contains("cache=cold")), "{:?}", engine.left_out);
    assert_eq!(value(&recorded, "read read_bytes cache=warm containers=3 pattern=sequential"), 3.0 * 131_072.0);
}

#[test]
fn privileged_containers_of_overlay2_share_the_page_cache_and_those_of_vfs_and_btrfs_do_not() {
    let factor = |mut engine: Bare| {
        engine.caches = Caches::Dropped;
        let recorded = run("read", small("read"), &mut engine).unwrap();
        value(&recorded, "page cache page_cache_factor containers=3")
    };
    let dir = tempfile::tempdir().unwrap();
    let (overlay2, vfs) = (dir.path().join("overlay2"), dir.path().join("vfs"));
    assert!(factor(Bare::new(Overlay2::open(&overlay2, driver_overlay2::Options::default()).unwrap())) < 1.1);
    assert!(factor(Bare::new(Vfs::open(&vfs, driver_vfs::Options::default()).unwrap())) > 2.9);
    let bed = btrfs_bed();
    assert!(factor(Bare::new(btrfs(bed.path()))) > 2.9);
    bed.close().unwrap();
}

#[test]
fn the_depths_that_a_driver_does_not_have_are_left_out_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine =
        Bare::new(crate::lying::Lying::new(MemoryDriver::open(dir.path()).unwrap(), crate::lying::Lie::Shallow(4)));
    let recorded = run("layers", &[("depths", "2,3,4"), ("files", "2")], &mut engine).unwrap();
    assert!(recorded.contains_key("mount wall depth=3") && !recorded.contains_key("mount wall depth=4"));
    assert_eq!(engine.left_out, ["depth 4 of the workload layers"]);
}

#[test]
fn the_same_seed_gives_the_same_tar() {
    let sizes = || {
        let (_dir, mut engine) = memory();
        let recorded = run("diff", small("diff"), &mut engine).unwrap();
        value(&recorded, "diff tar_bytes case=many")
    };
    assert_eq!(sizes(), sizes());
}

#[test]
fn nothing_stays_mounted_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let driver = crate::lying::Lying::new(MemoryDriver::open(dir.path()).unwrap(), crate::lying::Lie::NothingCopied);
    let mut engine = Bare::new(driver);
    run("copyup", small("copyup"), &mut engine).unwrap_err();
    let driver = workloads::Engine::driver(&engine);
    assert_eq!(driver.list().unwrap(), []);
    assert!(driver.shutdown().is_ok() && driver.mount(&"copyup.round".parse().unwrap(), MountMode::ReadWrite).is_err());
}
