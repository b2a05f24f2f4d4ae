//! Testbeds on real loop devices: what they count, and that they go.

use std::{
    fs,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use harness_testbed::{BlockStat, FileSystem, Options, Spec, Testbed, gc};
use storage_sys::{loopdev, mountinfo};

const SIZE: u64 = 512 << 20;

fn options(base: &Path, name: &str) -> Options {
    Options { base: base.to_owned(), name: name.to_owned(), keep: false }
}

fn on_loop(file_system: FileSystem) -> Spec {
    Spec::Loop { file_system, size: SIZE }
}

fn nothing_is_left(base: &Path) {
    let mounts = mountinfo::below(&base.canonicalize().unwrap()).unwrap();
    assert!(mounts.is_empty(), "{mounts:?}");
    let attached = loopdev::attached().unwrap();
    assert!(!attached.iter().any(|(_, file)| file.starts_with(base)), "{attached:?}");
    assert_eq!(fs::read_dir(base).unwrap().count(), 0);
}

/// What the device did for the same 400 files.
fn measure(base: &Path, file_system: FileSystem) -> BlockStat {
    let testbed = Testbed::open(&on_loop(file_system), &options(base, "counted")).unwrap();
    let before = testbed.counters().unwrap().unwrap();
    for number in 0..400 {
        fs::write(testbed.path().join(format!("file{number}")), vec![number as u8; 10_000]).unwrap();
    }
    let after = testbed.counters().unwrap().unwrap();
    testbed.close().unwrap();
    BlockStat {
        written_bytes: after.written_bytes - before.written_bytes,
        flushes: after.flushes - before.flushes,
        ..BlockStat::default()
    }
}

#[test]
fn privileged_counters_repeat() {
    let dir = tempfile::tempdir().unwrap();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let (one, two) = (measure(dir.path(), file_system), measure(dir.path(), file_system));
        assert!(one.written_bytes >= 4_000_000, "{file_system:?}: {one:?}");
        assert!(one.written_bytes.abs_diff(two.written_bytes) <= 64 << 10, "{file_system:?}: {one:?} {two:?}");
        assert!(one.flushes.abs_diff(two.flushes) <= 2, "{file_system:?}: {one:?} {two:?}");
    }
    nothing_is_left(dir.path());
}

#[test]
fn privileged_every_file_system_is_made_and_described() {
    let dir = tempfile::tempdir().unwrap();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs] {
        let testbed = Testbed::open(&on_loop(file_system), &options(dir.path(), file_system.name())).unwrap();
        let held = mountinfo::holding(testbed.path()).unwrap().unwrap();
        assert_eq!(held.fs_type, file_system.name());
        let description = testbed.describe();
        assert_eq!(description.file_system, file_system.name());
        assert!(description.mkfs_version.as_ref().is_some_and(|version| !version.is_empty()), "{description:?}");
        testbed.close().unwrap();
    }
    nothing_is_left(dir.path());
}

#[test]
fn privileged_a_full_testbed_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::Loop { file_system: FileSystem::Ext4, size: 64 << 20 };
    let testbed = Testbed::open(&spec, &options(dir.path(), "full")).unwrap();
    let mut file = fs::File::create(testbed.path().join("big")).unwrap();
    let chunk = vec![1; 1 << 20];
    let error = (0..100).find_map(|_| file.write_all(&chunk).err()).unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    drop(file);
    testbed.close().unwrap();
    nothing_is_left(dir.path());
}

#[test]
fn privileged_a_panic_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _testbed = Testbed::open(&on_loop(FileSystem::Ext4), &options(dir.path(), "panic")).unwrap();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    nothing_is_left(dir.path());
}

#[test]
fn privileged_what_a_killed_run_left_is_collected() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Options { keep: true, ..options(dir.path(), "killed") };
    let testbed = Testbed::open(&on_loop(FileSystem::Ext4), &kept).unwrap();
    assert!(gc(dir.path()).unwrap().is_empty(), "a testbed in use was taken away");
    drop(testbed);
    let gone = gc(dir.path()).unwrap();
    assert_eq!(gone.iter().map(|left| left.kind).collect::<Vec<_>>(), ["mount", "testbed"]);
    nothing_is_left(dir.path());
}

#[test]
fn a_directory_is_used_as_it_is_and_left_clean() {
    let dir = tempfile::tempdir().unwrap();
    let testbed = Testbed::open(&Spec::Dir(dir.path().join("new/place")), &options(dir.path(), "dir")).unwrap();
    assert_eq!(testbed.counters().unwrap(), None);
    fs::write(testbed.path().join("file"), "x").unwrap();
    testbed.close().unwrap();
    assert_eq!(fs::read_dir(dir.path().join("new/place")).unwrap().count(), 0);
}
