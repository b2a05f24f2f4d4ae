//! Each workload once, whole, on each driver that needs no device.

use driver_memory::MemoryDriver;
use driver_overlay2::Overlay2;
use driver_vfs::Vfs;
use storage_driver::MountMode;

use crate::engine::{Bare, Recorded, run};

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
fn all(open: impl Fn(&std::path::Path) -> Bare) {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(&dir.path().canonicalize().unwrap());
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
fn privileged_containers_of_overlay2_share_the_page_cache_and_those_of_vfs_do_not() {
    // What is in the page cache stays, since nobody drops it: what one container has cached is what was written there.
    let dir = tempfile::tempdir().unwrap();
    let driver = Overlay2::open(dir.path(), driver_overlay2::Options::default()).unwrap();
    let mut engine = Bare::new(driver);
    let recorded = run("read", small("read"), &mut engine).unwrap();
    assert!(recorded.keys().all(|cell| !cell.contains("cold")), "{:?}", recorded.keys());
    assert!(engine.left_out.iter().any(|what| what.contains("cache=cold")), "{:?}", engine.left_out);
    assert_eq!(value(&recorded, "read read_bytes cache=warm containers=3 pattern=sequential"), 3.0 * 131_072.0);
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
