//! Roots that check that nothing stays behind, and other processes.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use driver_overlay2::{Options, Overlay2};
use storage_driver::{CreateOptions, LayerId, MountMode, StorageDriver};
use storage_sys::mountinfo;
use tempfile::TempDir;

/// A temporary directory with a driver's root in it.
pub struct Place {
    dir: TempDir,
    root: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        Self { dir, root }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn open(&self) -> Overlay2 {
        self.open_with(&[])
    }

    pub fn open_with(&self, pairs: &[(&str, &str)]) -> Overlay2 {
        Overlay2::open(&self.root, options(pairs)).unwrap()
    }

    pub fn mounts(&self) -> Vec<PathBuf> {
        mountinfo::below(&self.root).unwrap().into_iter().map(|mount| mount.mount_point).collect()
    }

    /// The names of what a directory of the root holds.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(dir)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mounts = self.mounts();
        for path in mounts.iter().rev() {
            let _ = storage_sys::mount::detach(path);
        }
        if !std::thread::panicking() {
            assert!(mounts.is_empty(), "still mounted: {mounts:?}");
        }
    }
}

/// The ways to mount that this kernel has. The older one works everywhere.
pub fn apis() -> Vec<&'static str> {
    let place = Place::new();
    if place.open().status().pairs["mount api"].starts_with("new") {
        return vec!["new", "legacy"];
    }
    vec!["legacy"]
}

/// Whether this kernel cannot mount this way; then that is what the driver must say.
pub fn lacks(api: &str) -> bool {
    if apis().contains(&api) {
        return false;
    }
    // Or a probe that errs would empty these tests everywhere.
    assert!(kernel() < (6, 8), "Linux has lowerdir+ since 6.8, and the driver does not see it");
    let place = Place::new();
    let refused = Overlay2::open(place.root(), options(&[("mount_api", api)])).unwrap_err();
    assert!(matches!(refused, storage_driver::Error::Unusable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("mount_api=legacy"), "{refused}");
    println!("left out, since {refused}");
    true
}

fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

pub fn options(pairs: &[(&str, &str)]) -> Options {
    let pairs: BTreeMap<_, _> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Options::from_pairs(Path::new("/test"), &pairs).unwrap()
}

pub fn id(name: &str) -> LayerId {
    LayerId::new(name).unwrap()
}

pub fn create(driver: &Overlay2, name: &str, parent: Option<&str>) {
    driver.create(&id(name), parent.map(id).as_ref(), &CreateOptions::default()).unwrap();
}

/// Mounts a layer, does something in it, and unmounts it.
pub fn within<T>(driver: &Overlay2, name: &str, mode: MountMode, work: impl FnOnce(&Path) -> T) -> T {
    let layer = driver.mount(&id(name), mode).unwrap();
    let done = work(layer.path());
    layer.close().unwrap();
    done
}

/// Makes a layer, changes it, and seals it.
pub fn make(driver: &Overlay2, name: &str, parent: Option<&str>, change: impl FnOnce(&Path)) {
    create(driver, name, parent);
    within(driver, name, MountMode::ReadWrite, change);
    driver.seal(&id(name)).unwrap();
}

/// What a test does in a process of its own.
const ROLE: &str = "OVERLAY2_TEST_ROLE";

/// This program again, in which only [`in_another_process`] runs, with a role and a path.
pub fn process(role: &str, path: &Path) -> Command {
    with_role(Command::new(env::current_exe().unwrap()), role, path)
}

/// The same through a program that starts others, such as unshare(1), from a copy that everybody may read.
pub fn process_by(starter: &[&str], copy: &Path, role: &str, path: &Path) -> Command {
    fs::copy(env::current_exe().unwrap(), copy).unwrap();
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).arg(copy);
    with_role(command, role, path)
}

fn with_role(mut command: Command, role: &str, path: &Path) -> Command {
    command.args(["support::in_another_process", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env("OVERLAY2_TEST_PATH", path).env("TMPDIR", env::temp_dir());
    command
}

#[test]
fn in_another_process() {
    let Some(role) = env::var_os(ROLE) else { return };
    let path = PathBuf::from(env::var_os("OVERLAY2_TEST_PATH").unwrap());
    match role.as_os_str().to_str() {
        Some("be killed") => crate::crash::be_killed(&path),
        Some("open") => crate::crash::open_and_tell(&path),
        Some("user namespace") => crate::user_namespace::work(&path),
        _ => panic!("no such role: {}", OsStr::to_string_lossy(&role)),
    }
}
