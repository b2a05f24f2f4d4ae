//! Testbeds on real loop devices: what they count, and that they go.

use std::{
    fs,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    thread::sleep,
    time::Duration,
};

use harness_testbed::{BlockStat, Error, FileSystem, Options, Spec, Testbed, gc};
use storage_sys::{btrfs, loopdev, mountinfo, quota};

const SIZE: u64 = 512 << 20;

fn options(base: &Path, name: &str) -> Options {
    Options { base: base.to_owned(), name: name.to_owned(), keep: false }
}

fn on_loop(file_system: FileSystem) -> Spec {
    Spec::Loop { file_system: Some(file_system), size: SIZE, quota: false, memory: false }
}

fn nothing_is_left(base: &Path) {
    let mounts = mountinfo::below(&base.canonicalize().unwrap()).unwrap();
    assert!(mounts.is_empty(), "{mounts:?}");
    // Another program that makes a mount namespace meanwhile holds our mounts, and with them the devices, for a moment.
    let attached = || loopdev::attached().unwrap().into_iter().find(|(_, file)| file.starts_with(base));
    let waited = (0..100).any(|_| attached().is_none() || (sleep(Duration::from_millis(100)), false).1);
    assert!(waited, "{:?}", attached());
    assert_eq!(fs::read_dir(base).unwrap().count(), 0);
}

/// What the device did for the same 400 files.
fn measure(base: &Path, spec: &Spec) -> BlockStat {
    let testbed = Testbed::open(spec, &options(base, "counted")).unwrap();
    let before = testbed.counters().unwrap().unwrap();
    for number in 0..400 {
        fs::write(testbed.path().join(format!("file{number}")), vec![number as u8; 10_000]).unwrap();
    }
    let after = testbed.counters().unwrap().unwrap();
    testbed.close().unwrap();
    BlockStat {
        written_bytes: after.written_bytes - before.written_bytes,
        writes: after.writes - before.writes,
        flushes: after.flushes - before.flushes,
        ..BlockStat::default()
    }
}

#[test]
fn privileged_counters_repeat() {
    let dir = tempfile::tempdir().unwrap();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs] {
        for memory in [false, true] {
            let spec = Spec::Loop { file_system: Some(file_system), size: SIZE, quota: false, memory };
            let (one, two) = (measure(dir.path(), &spec), measure(dir.path(), &spec));
            assert!(one.written_bytes >= 4_000_000, "{spec}: {one:?}");
            // The nodes of btrfs' trees split as files happen to be written back.
            let (bytes, share) =
                if file_system == FileSystem::Btrfs { (one.written_bytes / 12, 12) } else { (64 << 10, 50) };
            assert!(one.written_bytes.abs_diff(two.written_bytes) <= bytes, "{spec}: {one:?} {two:?}");
            assert!(one.writes.abs_diff(two.writes) <= 2.max(one.writes / share), "{spec}: {one:?} {two:?}");
            assert!(one.flushes.abs_diff(two.flushes) <= 2, "{spec}: {one:?} {two:?}");
        }
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
    let spec = Spec::Loop { file_system: Some(FileSystem::Ext4), size: 64 << 20, quota: false, memory: false };
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
    // A program that another test starts has our descriptors, and with them the lock, until it is executed.
    let collect = || Some(gc(dir.path()).unwrap()).filter(|gone| !gone.is_empty());
    let wait = |_| collect().or_else(|| (sleep(Duration::from_millis(100)), None).1);
    let gone = (0..100).find_map(wait).unwrap();
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

#[test]
fn privileged_several_of_a_kind_live_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs] {
        let open = |name| Testbed::open(&on_loop(file_system), &options(dir.path(), name)).unwrap();
        let (one, two) = (open("one"), open("two"));
        fs::write(one.path().join("only here"), "x").unwrap();
        assert!(!two.path().join("only here").exists());
        assert_eq!(one.describe(), two.describe(), "the record must not tell runs apart");
    }
    nothing_is_left(dir.path());
}

#[test]
fn privileged_a_device_is_overwritten_only_if_it_is_empty_or_ours() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    fs::File::create(&image).unwrap().set_len(SIZE).unwrap();
    let device = loopdev::LoopDevice::attach(&image).unwrap();
    let base = dir.path().join("base");
    let open = |text: &str| {
        let spec = format!("dev:{}{text}", device.path().display()).parse().unwrap();
        Testbed::open(&spec, &options(&base, "dev"))
    };
    for file_system in ["ext4", "xfs", "btrfs", "ext4"] {
        let testbed = open(&format!(",{file_system}")).unwrap();
        assert_eq!(testbed.describe().device_size, Some(SIZE));
        assert!(testbed.counters().unwrap().is_some());
        let refused = open("").unwrap_err();
        assert!(matches!(refused, Error::InUse { .. }), "{refused}");
        testbed.close().unwrap();
    }
    // btrfs wipes what was there before, and so there is nothing of ours left after a foreign mkfs.
    assert!(Command::new("mkfs.xfs").arg("-qf").arg(device.path()).status().unwrap().success());
    let refused = open("").unwrap_err();
    assert!(matches!(refused, Error::Occupied { .. }), "{refused}");
    assert!(refused.to_string().contains(",force"), "{refused}");
    open(",force").unwrap().close().unwrap();
    device.detach().unwrap();
    assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
}

#[test]
fn privileged_what_is_no_device_is_not_formatted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("precious");
    fs::write(&file, "data").unwrap();
    let spec = format!("dev:{},force", file.display()).parse().unwrap();
    let refused = Testbed::open(&spec, &options(dir.path(), "none")).unwrap_err();
    assert!(matches!(refused, Error::NoDevice { .. }), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "data");
}

#[test]
fn privileged_a_testbed_larger_than_its_disk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::Loop { file_system: Some(FileSystem::Ext4), size: 1 << 50, quota: false, memory: false };
    let refused = Testbed::open(&spec, &options(dir.path(), "huge")).unwrap_err();
    assert!(matches!(refused, Error::NoRoom { .. }), "{refused}");
    nothing_is_left(dir.path());
}

/// Kernels are built without quotas more often than with them, so both outcomes are right; a testbed that was made
/// must enforce them, which the file system itself is asked for.
#[test]
fn privileged_quotas_are_enforced_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let spec = Spec::Loop { file_system: Some(file_system), size: SIZE, quota: true, memory: false };
        match Testbed::open(&spec, &options(dir.path(), "quota")) {
            Ok(testbed) => quota::probe(testbed.path()).unwrap(),
            Err(error) => {
                assert!(matches!(error, Error::NoQuota { .. }), "{error}");
                assert!(error.to_string().contains("the kernel needs CONFIG_"), "{error}");
            }
        }
        let plain = Testbed::open(&on_loop(file_system), &options(dir.path(), "plain")).unwrap();
        quota::probe(plain.path()).unwrap_err();
    }
    for quota in [true, false] {
        let spec = Spec::Loop { file_system: Some(FileSystem::Btrfs), size: SIZE, quota, memory: false };
        let testbed = Testbed::open(&spec, &options(dir.path(), "btrfs")).unwrap();
        let mode = btrfs::quota::mode(fs::File::open(testbed.path()).unwrap()).unwrap();
        assert_eq!(mode.is_some(), quota, "{mode:?}");
    }
    nothing_is_left(dir.path());
}

#[test]
fn privileged_a_directory_goes_with_the_subvolumes_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Testbed::open(&on_loop(FileSystem::Btrfs), &options(dir.path(), "outer")).unwrap();
    let place = bed.path().join("place");
    let inner = Testbed::open(&Spec::Dir(place.clone()), &options(dir.path(), "inner")).unwrap();
    let open = fs::File::open(inner.path()).unwrap();
    btrfs::create(&open, "subvolume".as_ref()).unwrap();
    let subvolume = fs::File::open(inner.path().join("subvolume")).unwrap();
    btrfs::create(&subvolume, "nested".as_ref()).unwrap();
    btrfs::set_read_only(&subvolume, true).unwrap();
    drop((open, subvolume));
    inner.close().unwrap();
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    bed.close().unwrap();
    nothing_is_left(dir.path());
}
