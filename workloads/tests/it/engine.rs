//! The port on a bare driver: no images, no containers, no device of its own.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use storage_driver::{Bytes, CreateOptions, LayerId, MountMode, StorageDriver};
use storage_sys::mmap::Mapping;
use workloads::{
    BuildReport, BuildSpec, DeviceCounters, Engine, Error, Holdings, Measurement, Params, Plan, Processor, Progress,
    Quantity, Recorder, Result, Round, RunReport, RunSpec, Scratch, SharedContainers, Space, Workload,
};

/// What becomes of the kernel's caches when they are to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caches {
    /// They stay, and that is said.
    Kept,
    /// They go, as root can have it.
    Dropped,
    /// They stay, it is said that they went, and that nothing was read ever after.
    SaidToBeDropped,
}

/// A driver under test; what cannot be done on it is written down.
#[derive(Debug)]
pub struct Bare {
    driver: Box<dyn StorageDriver>,
    pub left_out: Vec<String>,
    pub caches: Caches,
    /// What is left on its disk, if it tells.
    pub free: Option<Bytes>,
}

impl Bare {
    pub fn new(driver: impl StorageDriver + 'static) -> Self {
        Self { driver: Box::new(driver), left_out: Vec::new(), caches: Caches::Kept, free: None }
    }

    /// A sealed layer on top of the others of this image.
    fn layer(&self, image: &str, number: u32, parent: Option<&LayerId>) -> Result<LayerId> {
        let id = LayerId::new(format!("{image}-{number}"))?;
        if self.driver.stat(&id).is_ok() {
            return Ok(id);
        }
        self.driver.create(&id, parent, &CreateOptions::default())?;
        let mounted = self.driver.mount(&id, MountMode::ReadWrite)?;
        let root = mounted.path();
        let dir = root.join(format!("dir-{number}"));
        fs::create_dir(&dir).unwrap();
        (0..10).for_each(|file| fs::write(dir.join(file.to_string()), vec![7; 100 * file + 1]).unwrap());
        symlink("0", dir.join("link")).unwrap();
        fs::hard_link(dir.join("1"), dir.join("hard")).unwrap();
        mounted.close()?;
        self.driver.seal(&id)?;
        Ok(id)
    }
}

impl Engine for Bare {
    fn driver(&self) -> &dyn StorageDriver {
        self.driver.as_ref()
    }
    fn ensure_base(&mut self, name: &str) -> Result<Option<LayerId>> {
        let layers = if name == "app" { 3 } else { 1 };
        let mut top = None;
        for number in 0..layers {
            top = Some(self.layer(name, number, top.as_ref())?);
        }
        Ok(top)
    }
    fn build(&mut self, _: &BuildSpec<'_>) -> Result<BuildReport> {
        panic!("nothing is built here")
    }
    fn run(&mut self, _: &RunSpec<'_>) -> Result<RunReport> {
        panic!("nothing is run here")
    }
    fn containers(&mut self, _: &str) -> Result<SharedContainers> {
        panic!("there are no containers here")
    }
    fn make_database(&mut self, _: &Path, _: u64, _: u64) -> Result<()> {
        panic!("there are no databases here")
    }
    fn holdings(&mut self) -> Result<Holdings> {
        let layers = self.driver.list()?;
        let mut disk = Bytes(0);
        for layer in &layers {
            disk += self.driver.usage(&layer.id)?.exclusive;
        }
        Ok(Holdings { layers: layers.len() as u64, disk: Some(disk), ..Holdings::default() })
    }
    fn memory_available(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }
    fn space(&mut self) -> Result<Option<Space>> {
        let sharing = self.driver.capabilities().sharing;
        Ok(self.free.map(|free| Space { free, sharing }))
    }
    fn extents(&mut self, _: &Path) -> Result<Option<u64>> {
        Ok(None)
    }
    fn map_write(&mut self, file: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(file).unwrap();
        Mapping::shared(&file, offset as usize + bytes.len()).unwrap().write(offset as usize, bytes).unwrap();
        Ok(())
    }
    fn cached(&mut self, file: &Path) -> Result<Bytes> {
        let file = fs::File::open(file).unwrap();
        let len = file.metadata().unwrap().len() as usize;
        Ok(Bytes(Mapping::private(&file, len).unwrap().cached().unwrap()))
    }
    fn leave_out(&mut self, what: &str, _: &str) {
        self.left_out.push(what.to_owned());
    }
    fn remove_image(&mut self, _: &str) -> Result<()> {
        panic!("there are no images here")
    }
    fn counters(&mut self) -> Result<Option<DeviceCounters>> {
        Ok((self.caches == Caches::SaidToBeDropped).then(DeviceCounters::default))
    }
    fn processor(&mut self) -> Result<Processor> {
        Ok(Processor::default())
    }
    fn drop_caches(&mut self) -> Result<bool> {
        if self.caches == Caches::Dropped {
            // What is dirty stays.
            rustix::fs::sync();
            fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
        }
        Ok(self.caches != Caches::Kept)
    }
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Everything that was recorded: `phase metric name=value ...`, and the numbers.
pub type Recorded = BTreeMap<String, Vec<f64>>;

struct Keeper<'a>(&'a mut Recorded);

impl Recorder for Keeper<'_> {
    fn record(&mut self, measured: &Measurement<'_>) -> Result<()> {
        let value = match measured.quantity {
            Quantity::Time(time) => time.as_secs_f64(),
            Quantity::Bytes(bytes) | Quantity::Noisy(bytes) => bytes.get() as f64,
            Quantity::Count(count) => count as f64,
            Quantity::Ratio(ratio) => ratio,
        };
        let params: String = measured.params.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        self.0.entry(format!("{} {}{params}", measured.phase, measured.metric)).or_default().push(value);
        Ok(())
    }
}

struct Silent;

impl Progress for Silent {
    fn round(&mut self, _: Round, _: u64, _: u64) {}
    fn finished(&mut self, _: Round) -> Result<()> {
        Ok(())
    }
}

pub fn workload(name: &str) -> Box<dyn Workload> {
    workloads::all().into_iter().find(|workload| workload.name() == name).unwrap()
}

/// One round with these parameters over those of `--quick`.
pub fn run(name: &str, given: &[(&str, &str)], engine: &mut Bare) -> Result<Recorded, Error> {
    let dir = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(PathBuf::from(dir.path()));
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let workload = workload(name);
    let params = Params::new(&workload.params(), &given, true)?;
    let plan = Plan { rounds: 1, seed: 1, ..Plan::default() };
    let mut recorded = Recorded::new();
    let mut keeper = Some(Keeper(&mut recorded));
    workloads::run(workload.as_ref(), &params, &plan, &scratch, &mut [engine], |_| keeper.take(), &mut Silent)?;
    Ok(recorded)
}
