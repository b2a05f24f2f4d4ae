//! A store, a driver and a build context of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use driver_btrfs::Btrfs;
use driver_devicemapper::DeviceMapper;
use driver_overlay2::Overlay2;
use driver_vfs::Vfs;
use harness_builder::{BuildOutcome, BuildRequest, Builder, Error, Observer, StepReport, StepStart, Stream};
use harness_image::{Durability, Image, Layers, Store, base::Base};
use harness_testbed::{FileSystem, Options, Spec, Testbed};
use storage_driver::{MountMode, StorageDriver};

/// Those that need nothing.
pub const DRIVERS: [&str; 2] = ["overlay2", "vfs"];

/// All that this kernel has: devicemapper is tried where there is a device-mapper, as in the lab.
pub fn drivers() -> Vec<&'static str> {
    let mut drivers = DRIVERS.to_vec();
    drivers.push("btrfs");
    let devices = fs::read_to_string("/proc/misc").unwrap_or_default();
    if devices.lines().any(|line| line.ends_with(" device-mapper")) {
        drivers.push("devicemapper");
    }
    drivers
}

pub struct Place {
    pub layers: Layers,
    /// What btrfs is on, where the machine's own file system is another.
    _bed: Option<Testbed>,
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new(driver: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("builder-test-").tempdir().unwrap();
        let store = Store::open_with(&dir.path().join("images"), Durability::Skip).unwrap();
        let bed = (driver == "btrfs").then(|| btrfs(dir.path()));
        let root = bed.as_ref().map_or_else(|| dir.path().join(driver), |bed| bed.path().join(driver));
        let layers = Layers::new(store, open(driver, &root)).unwrap();
        fs::create_dir(dir.path().join("context")).unwrap();
        Self { layers, _bed: bed, dir }
    }

    /// With an image to run commands on.
    pub fn with_host(driver: &str) -> Self {
        let place = Self::new(driver);
        Base::Host.ensure(place.layers.store()).unwrap();
        place
    }

    pub fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.context().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub fn request(&self) -> BuildRequest {
        BuildRequest { context: self.context(), ..BuildRequest::default() }
    }

    pub fn try_build(&self, dockerfile: &str, request: &BuildRequest) -> Result<BuildOutcome, Error> {
        self.file("Dockerfile", dockerfile);
        Builder::new(&self.layers).build(request, &mut Heard::default())
    }

    #[track_caller]
    pub fn build(&self, dockerfile: &str) -> BuildOutcome {
        self.try_build(dockerfile, &self.request()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    pub fn build_request(&self, request: &BuildRequest) -> BuildOutcome {
        let mut heard = Heard::default();
        let built = Builder::new(&self.layers).build(request, &mut heard);
        built.unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&heard.output)))
    }

    /// Why the build is refused.
    #[track_caller]
    pub fn refused(&self, dockerfile: &str) -> String {
        self.try_build(dockerfile, &self.request()).expect_err("it was built").to_string()
    }

    /// Looks at an image's files.
    pub fn look<T>(&self, image: &Image, look: impl FnOnce(&Path) -> T) -> T {
        let layer = self.layers.layer_of(&image.chain().unwrap()).unwrap().unwrap();
        let mounted = self.layers.driver().mount(&layer, MountMode::ReadOnly).unwrap();
        let seen = look(mounted.path());
        mounted.close().unwrap();
        seen
    }
}

fn open(driver: &str, root: &Path) -> Arc<dyn StorageDriver> {
    let durability = Durability::Skip;
    match driver {
        "overlay2" => {
            Arc::new(Overlay2::open(root, driver_overlay2::Options { durability, ..Default::default() }).unwrap())
        }
        "vfs" => Arc::new(Vfs::open(root, driver_vfs::Options { durability, ..Default::default() }).unwrap()),
        "btrfs" => Arc::new(Btrfs::open(root, driver_btrfs::Options { durability, ..Default::default() }).unwrap()),
        "devicemapper" => {
            let options = driver_devicemapper::Options { durability, ..Default::default() };
            Arc::new(DeviceMapper::open(root, options).unwrap())
        }
        _ => panic!("there is no driver {driver}"),
    }
}

fn btrfs(dir: &Path) -> Testbed {
    let spec = Spec::Loop { file_system: Some(FileSystem::Btrfs), size: 8 << 30, quota: false, memory: false };
    let name = format!("builder-test-{}", dir.file_name().unwrap().to_string_lossy());
    Testbed::open(&spec, &Options { base: dir.join("bed"), name, keep: false })
        .unwrap_or_else(|error| panic!("{error}"))
}

/// How many steps came from the cache.
pub fn cached(outcome: &BuildOutcome) -> usize {
    outcome.steps.iter().filter(|step| step.cached).count()
}

/// What a build told.
#[derive(Debug, Default)]
pub struct Heard {
    pub output: Vec<u8>,
    pub warnings: Vec<String>,
}

impl Observer for Heard {
    fn step_started(&mut self, _: &StepStart) {}

    fn output(&mut self, _: usize, _: Stream, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    fn step_done(&mut self, _: &StepReport) {}

    fn warning(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}
