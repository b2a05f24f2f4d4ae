//! The vfs driver; what all drivers have in common is in the conformance suite.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

use driver_vfs::{CopyStrategy, Options, Vfs};
use storage_driver::{Bytes, CreateOptions, Error, LayerId, MountMode, StorageDriver, Support};
use storage_layer::{Manifest, Rules};
use storage_sys::mountinfo;

fn id(name: &str) -> LayerId {
    LayerId::new(name).unwrap()
}

fn create(driver: &Vfs, name: &str, parent: Option<&str>) {
    driver.create(&id(name), parent.map(id).as_ref(), &CreateOptions::default()).unwrap();
}

fn within<T>(driver: &Vfs, name: &str, mode: MountMode, work: impl FnOnce(&Path) -> T) -> T {
    let layer = driver.mount(&id(name), mode).unwrap();
    let done = work(layer.path());
    layer.close().unwrap();
    done
}

fn make(driver: &Vfs, name: &str, parent: Option<&str>, change: impl FnOnce(&Path)) {
    create(driver, name, parent);
    within(driver, name, MountMode::ReadWrite, change);
    driver.seal(&id(name)).unwrap();
}

fn fill(root: &Path) {
    fs::create_dir(root.join("dir")).unwrap();
    fs::write(root.join("dir/file"), vec![1; 100_000]).unwrap();
    fs::hard_link(root.join("dir/file"), root.join("link")).unwrap();
    fs::set_permissions(root.join("dir/file"), fs::Permissions::from_mode(0o4755)).unwrap();
    let mut sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(8 << 20)).unwrap();
    sparse.write_all(b"end").unwrap();
}

#[test]
fn a_child_is_a_copy_and_the_copying_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let driver = Vfs::open(dir.path(), Options::default()).unwrap();
    make(&driver, "base", None, fill);
    create(&driver, "top", Some("base"));
    assert!(driver.changes(&id("top")).unwrap().is_empty());
    let tree = |name: &str| Manifest::scan(&dir.path().join("layers").join(name).join("tree")).unwrap();
    assert_eq!(tree("base").compare(&tree("top"), &Rules::default()), []);

    let base = driver.usage(&id("base")).unwrap();
    let top = driver.usage(&id("top")).unwrap();
    assert_eq!(base.copied_up.files, 0);
    assert_eq!(top.copied_up.files, 2, "hard links are counted once, directories not");
    assert!(top.copied_up.bytes >= Bytes(100_000) && top.copied_up.bytes < Bytes::MIB, "{top:?}");
    assert!(top.exclusive >= top.copied_up.bytes && top.exclusive < Bytes::MIB, "{top:?}");
    assert_eq!(top.inodes, 4);
    assert_eq!(driver.status().pairs["copy"], "copy");

    within(&driver, "top", MountMode::ReadWrite, |root| {
        let file = fs::OpenOptions::new().write(true).open(root.join("link")).unwrap();
        file.write_all_at(b"x", 50_000).unwrap();
    });
    assert_eq!(fs::read(dir.path().join("layers/base/tree/link")).unwrap(), vec![1; 100_000], "the parent changed");
    let changed: Vec<_> = driver.changes(&id("top")).unwrap().into_iter().map(|change| change.path).collect();
    assert_eq!(changed, [Path::new("dir/file"), Path::new("link")]);
    // What was written since does not change what was copied.
    assert_eq!(driver.usage(&id("top")).unwrap().copied_up, top.copied_up);
}

#[test]
fn the_way_to_copy_is_kept_with_the_layer() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { copy: CopyStrategy::CopyFileRange, ..Options::default() };
    let driver = Vfs::open(dir.path(), options).unwrap();
    make(&driver, "base", None, fill);
    create(&driver, "top", Some("base"));
    let record = fs::read_to_string(dir.path().join("layers/top/layer.json")).unwrap();
    assert!(record.contains(r#""copy": "copy_file_range""#), "{record}");
}

#[test]
fn reflink_is_refused_where_there_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { copy: CopyStrategy::Reflink, ..Options::default() };
    match Vfs::open(dir.path(), options) {
        Ok(driver) => assert_eq!(driver.status().pairs["copy"], "reflink"),
        Err(error) => {
            assert!(matches!(error, Error::Unusable { .. }));
            assert!(error.to_string().contains("copy=copy"), "{error}");
        }
    }
}

#[test]
fn a_size_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let driver = Vfs::open(dir.path(), Options::default()).unwrap();
    assert!(matches!(driver.capabilities().size_limit, Support::No(_)));
    let options = CreateOptions { size: Some(Bytes::MIB), ..CreateOptions::default() };
    assert!(matches!(driver.create(&id("a"), None, &options), Err(Error::Unsupported { .. })));
}

#[test]
fn layers_outlive_the_driver() {
    let dir = tempfile::tempdir().unwrap();
    let driver = Vfs::open(dir.path(), Options::default()).unwrap();
    make(&driver, "base", None, fill);
    create(&driver, "top", Some("base"));
    let before = (driver.list().unwrap(), driver.usage(&id("top")).unwrap());
    assert!(matches!(Vfs::open(dir.path(), Options::default()), Err(Error::Locked { .. })));
    drop(driver);
    let driver = Vfs::open(dir.path(), Options::default()).unwrap();
    assert_eq!((driver.list().unwrap(), driver.usage(&id("top")).unwrap()), before);
    driver.remove(&id("top")).unwrap();
    driver.remove(&id("base")).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("layers")).unwrap().count(), 0);
}

#[test]
fn privileged_read_only_refuses_root_too() {
    let dir = tempfile::tempdir().unwrap();
    let driver = Vfs::open(dir.path(), Options::default()).unwrap();
    make(&driver, "base", None, fill);
    create(&driver, "open", None);
    for layer in ["base", "open"] {
        within(&driver, layer, MountMode::ReadOnly, |root| {
            let refused = fs::write(root.join("new"), "").unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
            let found = root.metadata().unwrap();
            assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o755, 0, 0));
        });
    }
    assert!(mountinfo::below(&dir.path().canonicalize().unwrap()).unwrap().is_empty());
}

#[test]
fn privileged_a_mount_that_another_namespace_holds_is_no_hindrance() {
    let dir = tempfile::tempdir().unwrap();
    let driver = Vfs::open(dir.path(), Options::default()).unwrap();
    make(&driver, "base", None, fill);
    let layer = driver.mount(&id("base"), MountMode::ReadOnly).unwrap();
    let script = format!("cd {} && echo && read line", layer.path().display());
    let mut holder = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare(1): install util-linux");
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    layer.close().unwrap();
    driver.remove(&id("base")).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("layers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(dir.path().join("trash")).unwrap().count(), 0);
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

#[test]
fn privileged_what_a_killed_process_left_mounted_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let driver = Vfs::open(dir.path(), Options::default()).unwrap();
    make(&driver, "base", None, fill);
    std::mem::forget(driver.mount(&id("base"), MountMode::ReadOnly).unwrap());
    // The kernel takes a killed process's lock away; here the lock file goes.
    std::mem::forget(driver);
    fs::remove_file(dir.path().join("lock")).unwrap();
    let driver = Vfs::open(dir.path(), Options::default()).unwrap();
    assert_eq!(driver.recovered().len(), 1);
    within(&driver, "base", MountMode::ReadOnly, |root| assert!(root.join("link").exists()));
    driver.remove(&id("base")).unwrap();
}
