//! A file system for each test, and what most tests do.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use driver_btrfs::{Btrfs, Options};
use harness_testbed::Testbed;
use rustix::mount::MountFlags;
use storage_driver::{CreateOptions, LayerId, MountMode, StorageDriver};
use storage_sys::{mount, mountinfo};

/// A btrfs on a loop device, gone with the value.
#[derive(Debug)]
pub struct Place {
    bed: Testbed,
}

impl Place {
    pub fn new() -> Self {
        Self::of_size("1G")
    }

    pub fn of_size(size: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let spec = format!("loop:btrfs,size={size}").parse().unwrap();
        let name = format!("btrfs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // The file is sparse, and much faster in memory.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let options = harness_testbed::Options { base, name, keep: false };
        Self { bed: Testbed::open(&spec, &options).unwrap_or_else(|error| panic!("{error}")) }
    }

    pub fn path(&self) -> &Path {
        self.bed.path()
    }

    /// Unmounts the file system and mounts it again, so that the kernel forgets what it knew.
    pub fn remount(&self) {
        let point = self.bed.path().parent().unwrap();
        let held = mountinfo::holding(point).unwrap().unwrap();
        // The testbed's loop device stays attached, since it has it open. A child process of another test, or one in a mount
        // namespace of its own, may hold the file system a moment longer.
        let device = Path::new(&held.source).file_name().unwrap();
        wait_until(|| mount::unmount_idle(point).is_ok());
        wait_until(|| !is_known(device));
        rustix::mount::mount(&held.source, point, "btrfs", MountFlags::NOATIME, c"").unwrap();
    }

    pub fn root(&self) -> PathBuf {
        self.bed.path().join("root")
    }

    pub fn open(&self) -> Btrfs {
        self.open_with(&[])
    }

    pub fn open_with(&self, pairs: &[(&str, &str)]) -> Btrfs {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Btrfs::open(&self.root(), Options::from_pairs(&self.root(), &pairs).unwrap()).unwrap()
    }

    pub fn tree(&self, layer: &LayerId) -> PathBuf {
        self.root().join("layers").join(layer.as_str()).join("tree")
    }
}

fn wait_until(done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "a file system stays mounted");
        sleep(Duration::from_millis(20));
    }
}

/// Whether the kernel has a file system on a device open.
fn is_known(device: &OsStr) -> bool {
    let known = fs::read_dir("/sys/fs/btrfs").unwrap();
    known.flatten().any(|file_system| file_system.path().join("devices").join(device).exists())
}

pub fn id(name: &str) -> LayerId {
    LayerId::new(name).unwrap()
}

/// A layer that `change` was done to, not sealed.
pub fn layer(driver: &Btrfs, name: &str, parent: Option<&LayerId>, change: impl FnOnce(&Path)) -> LayerId {
    let layer = id(name);
    driver.create(&layer, parent, &CreateOptions::default()).unwrap();
    let mounted = driver.mount(&layer, MountMode::ReadWrite).unwrap();
    change(mounted.path());
    mounted.close().unwrap();
    layer
}

pub fn sealed(driver: &Btrfs, name: &str, parent: Option<&LayerId>, change: impl FnOnce(&Path)) -> LayerId {
    let layer = layer(driver, name, parent, change);
    driver.seal(&layer).unwrap();
    layer
}

/// What `btrfs` says, which must succeed.
pub fn tool(args: &[&str], path: &Path) -> String {
    let output = Command::new("btrfs").args(args).arg(path).output().expect("install btrfs-progs");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "btrfs {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
