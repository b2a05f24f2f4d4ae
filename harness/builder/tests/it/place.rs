//! A store, a driver and a build context of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use driver_overlay2::Overlay2;
use driver_vfs::Vfs;
use harness_builder::{BuildOutcome, BuildRequest, Builder, Error, Observer, StepReport, StepStart, Stream};
use harness_image::{Durability, Image, Layers, Store, base::Base};
use storage_driver::{MountMode, StorageDriver};

pub const DRIVERS: [&str; 2] = ["overlay2", "vfs"];

pub struct Place {
    pub dir: tempfile::TempDir,
    pub layers: Layers,
}

impl Place {
    pub fn new(driver: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("builder-test-").tempdir().unwrap();
        let store = Store::open_with(&dir.path().join("images"), Durability::Skip).unwrap();
        let root = dir.path().join(driver);
        let driver: Arc<dyn StorageDriver> = if driver == "vfs" {
            let options = driver_vfs::Options { durability: Durability::Skip, ..Default::default() };
            Arc::new(Vfs::open(&root, options).unwrap())
        } else {
            let options = driver_overlay2::Options { durability: Durability::Skip, ..Default::default() };
            Arc::new(Overlay2::open(&root, options).unwrap())
        };
        let layers = Layers::new(store, driver).unwrap();
        fs::create_dir(dir.path().join("context")).unwrap();
        Self { dir, layers }
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
        let layer = self.layers.layer_of(&image.chain().unwrap()).unwrap();
        let mounted = self.layers.driver().mount(&layer, MountMode::ReadOnly).unwrap();
        let seen = look(mounted.path());
        mounted.close().unwrap();
        seen
    }
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
