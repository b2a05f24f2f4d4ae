//! Size limits, on a file system that has project quotas.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use driver_overlay2::{Options, Overlay2};
use storage_driver::{Bytes, CreateOptions, Error, MountMode, StorageDriver, Support};

use crate::support::{create, id, within};

/// A file system in a file.
struct Disk {
    dir: tempfile::TempDir,
}

/// How file systems with project quotas are made and mounted.
const EXT4: (&str, &[&str]) = ("ext4", &["-q", "-O", "quota,project", "-E", "quotatype=prjquota"]);
const XFS: (&str, &[&str]) = ("xfs", &["-q"]);

impl Disk {
    fn with_quotas((file_system, options): (&str, &[&str])) -> Self {
        Self::make(file_system, options, "loop,prjquota")
    }

    fn without_quotas() -> Self {
        Self::make("ext4", &["-q"], "loop")
    }

    fn make(file_system: &str, options: &[&str], mount_options: &str) -> Self {
        let made = Self { dir: tempfile::tempdir().unwrap() };
        let image = made.dir.path().join("image");
        // The smallest that mkfs.xfs makes.
        File::create(&image).unwrap().set_len(300 << 20).unwrap();
        fs::create_dir(made.path()).unwrap();
        run(Command::new(format!("mkfs.{file_system}")).args(options).arg(&image), "e2fsprogs and xfsprogs");
        run(Command::new("mount").args(["-o", mount_options]).arg(&image).arg(made.path()), "mount");
        made
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

fn run(command: &mut Command, package: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; install {package}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// How many bytes fit into a new file.
fn fill(path: &Path) -> u64 {
    let mut file = File::create(path).unwrap();
    let mut written = 0;
    while file.write_all(&[1; 64 * 1024]).is_ok() {
        written += 64 * 1024;
        assert!(written < 32 << 20, "nothing stops it");
    }
    written
}

fn sized(driver: &Overlay2, name: &str, parent: Option<&str>, size: u64) {
    let options = CreateOptions { size: Some(Bytes(size)), ..CreateOptions::default() };
    driver.create(&id(name), parent.map(id).as_ref(), &options).unwrap();
}

#[test]
fn privileged_without_quotas_a_size_is_refused_with_the_remedy() {
    let disk = Disk::without_quotas();
    let driver = Overlay2::open(&disk.path().join("root"), Options::default()).unwrap();
    let Support::No(why) = &driver.capabilities().size_limit else { panic!("quotas where there are none") };
    assert!(why.contains("is on ext4") && why.contains("-o prjquota"), "{why}");
    let options = CreateOptions { size: Some(Bytes::MIB), ..CreateOptions::default() };
    let refused = driver.create(&id("a"), None, &options).unwrap_err();
    assert!(matches!(&refused, Error::Unsupported { .. }) && refused.to_string().contains(why), "{refused}");
    assert!(driver.list().unwrap().is_empty());
}

#[test]
#[ignore = "needs a kernel with project quotas on ext4 (CONFIG_QFMT_V2); runs in the lab"]
fn privileged_a_layer_is_limited_on_ext4_and_its_parent_is_not_counted() {
    a_layer_is_limited_and_its_parent_is_not_counted(&Disk::with_quotas(EXT4));
}

#[test]
#[ignore = "needs a kernel with project quotas on xfs (CONFIG_XFS_QUOTA); runs in the lab"]
fn privileged_a_layer_is_limited_on_xfs_and_its_parent_is_not_counted() {
    a_layer_is_limited_and_its_parent_is_not_counted(&Disk::with_quotas(XFS));
}

fn a_layer_is_limited_and_its_parent_is_not_counted(disk: &Disk) {
    let root = disk.path().join("root");
    let driver = Overlay2::open(&root, Options::default()).unwrap();
    assert!(driver.capabilities().size_limit.is_yes(), "{:?}", driver.capabilities().size_limit);
    create(&driver, "base", None);
    within(&driver, "base", MountMode::ReadWrite, |root| fs::write(root.join("f"), vec![1; 2 << 20]).unwrap());
    driver.seal(&id("base")).unwrap();

    let limit = 4 << 20;
    sized(&driver, "small", Some("base"), limit);
    sized(&driver, "other", Some("base"), 2 * limit);
    within(&driver, "small", MountMode::ReadWrite, |root| {
        // The limit holds for copies of the parent's files as well.
        fs::OpenOptions::new().append(true).open(root.join("f")).unwrap().write_all(b"more").unwrap();
        let written = fill(&root.join("new"));
        assert!((1 << 20..limit - (2 << 20)).contains(&written), "{written} bytes fit");
    });
    within(&driver, "other", MountMode::ReadWrite, |root| {
        let written = fill(&root.join("new"));
        // xfs keeps small directories in their inodes, so that all of it may be left.
        assert!((limit..=2 * limit).contains(&written), "{written} bytes fit into the larger one");
    });
    drop(driver);

    // Ids are found again, and a new layer gets another one.
    let driver = Overlay2::open(&root, Options::default()).unwrap();
    sized(&driver, "third", None, limit);
    let projects = ["small", "other", "third"]
        .map(|name| storage_sys::quota::project(&root.join("layers").join(name).join("diff")).unwrap());
    assert!(projects[0] != projects[1] && projects[1] != projects[2] && projects[0] != projects[2], "{projects:?}");
    within(&driver, "small", MountMode::ReadWrite, |root| {
        assert!(fs::write(root.join("more"), vec![1; 1 << 20]).is_err(), "the limit is gone");
        fs::remove_file(root.join("new")).unwrap();
        // xfs gives the room back a moment after the file is deleted.
        let deadline = Instant::now() + Duration::from_secs(120);
        while let Err(error) = fs::write(root.join("more"), vec![1; 1 << 19]) {
            assert!(Instant::now() < deadline, "{error}");
            std::thread::sleep(Duration::from_millis(50));
        }
    });

    // What is removed lends its id, without its files, to the next.
    driver.remove(&id("other")).unwrap();
    sized(&driver, "fourth", None, limit);
    within(&driver, "fourth", MountMode::ReadWrite, |root| assert!(fill(&root.join("new")) > limit / 2));
    // Another root on the same file system keeps clear of them.
    let second = Overlay2::open(&disk.path().join("second"), Options::default()).unwrap();
    sized(&second, "small", None, limit);
    within(&second, "small", MountMode::ReadWrite, |root| assert!(fill(&root.join("new")) > limit / 2));
}
