//! Roots, layers and the tools that the driver is held against.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use driver_devicemapper::{DeviceMapper, Options};
use storage_driver::{CreateOptions, LayerId, MountMode, StorageDriver};
use tempfile::TempDir;

/// Fails where no test here can run.
fn need_device_mapper() {
    let listed = Command::new("dmsetup").arg("targets").output().expect("install dmsetup");
    let targets = String::from_utf8_lossy(&listed.stdout);
    assert!(
        targets.contains("thin-pool"),
        "this kernel has no thin pools (modprobe dm-thin-pool); run this in the lab: harness lab -- ..."
    );
}

/// A directory for one root, and its clean-up, also when a test failed: nothing of it stays active.
pub struct Place {
    /// None in a process that works on another one's place.
    dir: Option<TempDir>,
    pub root: PathBuf,
    metadata: String,
}

impl Place {
    pub fn new() -> Self {
        need_device_mapper();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let metadata = root.join("metadata").to_str().unwrap().to_owned();
        Self { dir: Some(dir), root, metadata }
    }

    pub fn at(root: PathBuf) -> Self {
        let metadata = root.join("metadata").to_str().unwrap().to_owned();
        Self { dir: None, root, metadata }
    }

    /// Where more can be put.
    pub fn path(&self) -> &Path {
        self.root.parent().unwrap()
    }

    /// The pool's metadata file.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// The name of one of this root's devices: `pool`, or a number.
    pub fn device(&self, part: &str) -> String {
        format!("harness-{}-{part}", self.identity())
    }

    pub fn open(&self, options: &[(&str, &str)]) -> DeviceMapper {
        self.try_open(options).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_open(&self, options: &[(&str, &str)]) -> storage_driver::Result<DeviceMapper> {
        let mut pairs = BTreeMap::from([("data_size", "1G"), ("base_size", "512M")]);
        pairs.extend(options.iter().copied());
        let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        DeviceMapper::open(&self.root, Options::from_pairs(&self.root, &pairs)?)
    }

    /// In the names of this root's devices.
    pub fn identity(&self) -> String {
        let json = std::fs::read_to_string(self.root.join("pool.json")).unwrap();
        let rest = json.split("\"identity\": \"").nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    /// This root's devices, by dmsetup.
    pub fn devices(&self) -> Vec<String> {
        let listed = said("dmsetup", &["ls"]);
        let own = format!("harness-{}-", self.identity());
        listed
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| name.starts_with(&own))
            .map(str::to_owned)
            .collect()
    }

    /// The pool must be whole, and have exactly these devices.
    pub fn check_idle_pool(&self, devices: usize) {
        said("thin_check", &[self.metadata()]);
        let listed = said("thin_ls", &["--no-headers", "-o", "DEV", self.metadata()]);
        assert_eq!(listed.lines().count(), devices, "{listed}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.dir.is_none() || !self.root.join("pool.json").exists() {
            return;
        }
        for mount in storage_sys::mountinfo::below(&self.root).unwrap_or_default().iter().rev() {
            _ = storage_sys::mount::detach(&mount.mount_point);
        }
        for _ in 0..3 {
            for device in self.devices() {
                _ = Command::new("dmsetup").args(["remove", "--retry", &device]).output();
            }
        }
    }
}

pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("install {program}: {error}"))
}

pub fn said(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn id(name: &str) -> LayerId {
    LayerId::new(name).unwrap()
}

pub fn create(driver: &dyn StorageDriver, name: &str, parent: Option<&str>) -> LayerId {
    let layer = id(name);
    driver.create(&layer, parent.map(id).as_ref(), &CreateOptions::default()).unwrap();
    layer
}

pub fn write(driver: &dyn StorageDriver, layer: &LayerId, name: &str, content: &[u8]) {
    let view = driver.mount(layer, MountMode::ReadWrite).unwrap();
    std::fs::write(view.path().join(name), content).unwrap();
    view.close().unwrap();
}

pub fn sealed(driver: &dyn StorageDriver, name: &str, parent: Option<&str>, content: &[u8]) -> LayerId {
    let layer = create(driver, name, parent);
    write(driver, &layer, name, content);
    driver.seal(&layer).unwrap();
    layer
}

pub fn read(driver: &dyn StorageDriver, layer: &LayerId, name: &str) -> Vec<u8> {
    let view = driver.mount(layer, MountMode::ReadOnly).unwrap();
    let content = std::fs::read(view.path().join(name)).unwrap();
    view.close().unwrap();
    content
}
