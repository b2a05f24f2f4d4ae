//! The workloads' port, on one driver on its testbed.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use anyhow::Context;
use driver_inject::{Mistake, Spoiled};
use harness_builder::{BuildNetwork, BuildRequest, Builder, Observer, Stream};
use harness_image::{Layers, PrepareOptions, Purpose, Reference, Store};
use harness_runtime::{Launch, Stdio, config::spec};
use harness_testbed::{BlockStat, Testbed};
use storage_driver::{Bytes, LayerId, MountMode, StorageDriver};
use workloads::{
    BuildReport, BuildSpec, DeviceCounters, Engine, Error, Holdings, LayerReport, Processor, Result, RunReport,
    RunSpec, SharedContainers, Space, StepReport, StepTimes,
};

use super::{bases, containers, holdings, long_lived::ImageContainers, mapping, processor, space};
use crate::{drivers, failure, signals::stopped};

/// Output of a container beyond this is cut off.
const OUTPUT: usize = 64 << 20;

/// One driver under test. The layers go before the testbed that holds them.
#[derive(Debug)]
pub struct BenchEngine {
    layers: Arc<Layers>,
    testbed: Testbed,
    stop: Arc<AtomicBool>,
    left_out: BTreeMap<String, String>,
}

impl BenchEngine {
    pub fn open(
        entry: &drivers::Entry,
        options: &drivers::Options,
        store: Arc<Store>,
        testbed: Testbed,
        inject: Option<Mistake>,
        stop: Arc<AtomicBool>,
    ) -> failure::Result<Self> {
        let mut options = options.clone();
        if let Some(mistake) = inject {
            mistake.options(&mut options);
        }
        if let Some(device) = testbed.device() {
            options.entry("device".to_owned()).or_insert_with(|| device.display().to_string());
        }
        let mut driver = entry.open(&testbed.path().join("driver"), &options)?;
        if let Some(mistake) = inject {
            driver = Arc::new(Spoiled::new(driver, mistake, testbed.path().join("inject")));
        }
        Ok(Self { layers: Arc::new(Layers::new(store, driver)?), testbed, stop, left_out: BTreeMap::new() })
    }

    pub const fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// What workloads have left out here, and why.
    pub const fn left_out(&self) -> &BTreeMap<String, String> {
        &self.left_out
    }

    /// Ends the driver, then takes the testbed away.
    pub fn close(self) -> failure::Result {
        let Self { layers, testbed, .. } = self;
        layers.driver().shutdown()?;
        drop(layers);
        Ok(testbed.close()?)
    }
}

impl Engine for BenchEngine {
    fn driver(&self) -> &dyn StorageDriver {
        self.layers.driver().as_ref()
    }

    fn ensure_base(&mut self, name: &str) -> Result<Option<LayerId>> {
        let image = bases::resolve(self.layers.store(), name).map_err(engine)?;
        self.layers.ensure(&image).map_err(engine)
    }

    fn build(&mut self, spec: &BuildSpec<'_>) -> Result<BuildReport> {
        let request = BuildRequest {
            context: spec.context.to_owned(),
            dockerfile: spec.dockerfile.clone(),
            tags: vec![Reference::parse(spec.tag).map_err(engine)?],
            no_cache: !spec.use_cache,
            target: spec.options.target.clone(),
            build_args: spec.options.args.clone(),
            network: if spec.options.host_network { BuildNetwork::Host } else { BuildNetwork::None },
            cancel: self.stop.clone(),
            settle_once: true,
            ..BuildRequest::default()
        };
        let testbed = spec.count_device.then_some(&self.testbed);
        let mut sampler = Sampler { testbed, before: None, spent: std::time::Duration::ZERO, counted: Vec::new() };
        let started = Instant::now();
        let built = Builder::new(&self.layers)
            .with_images(&bases::Everywhere::default())
            .build(&request, &mut sampler)
            .map_err(build_error)?;
        // Syncing for the counters is the measurement's doing, not the build's.
        let total = started.elapsed().saturating_sub(sampler.spent);
        let steps = built.steps.into_iter().zip(sampler.counted);
        // Instructions that only change the configuration cost nothing worth a row.
        let steps =
            steps.filter(|(step, _)| step.layer.is_some() || step.cached).map(|(step, device)| report(step, device));
        Ok(BuildReport { total, steps: steps.collect() })
    }

    fn run(&mut self, run: &RunSpec<'_>) -> Result<RunReport> {
        let image = self.layers.store().resolve(run.image).map_err(engine)?;
        let parent = self.layers.ensure(&image).map_err(engine)?;
        let started = Instant::now();
        let options = PrepareOptions { purpose: Purpose::Container, ..PrepareOptions::default() };
        let layer = self.layers.prepare(parent.as_ref(), &options).map_err(engine)?;
        let ran = self.run_on(&layer, run, &image, started);
        let removing = Instant::now();
        let removed = self.layers.discard(&layer).map_err(engine);
        let (mut report, unmounting) = ran?;
        removed?;
        report.remove = unmounting + removing.elapsed();
        Ok(report)
    }

    fn containers(&mut self, image: &str) -> Result<SharedContainers> {
        let image = bases::resolve(self.layers.store(), image).map_err(engine)?;
        let parent = self.layers.ensure(&image).map_err(engine)?;
        Ok(Arc::new(ImageContainers { layers: self.layers.clone(), image: Arc::new(image), parent }))
    }

    fn make_database(&mut self, file: &Path, rows: u64, seed: u64) -> Result<()> {
        harness_database::make(file, rows, seed).map_err(engine)
    }

    fn holdings(&mut self) -> Result<Holdings> {
        let own_device = self.testbed.counters().map_err(engine)?.is_some();
        holdings::count(self.driver(), self.testbed.path(), own_device).map_err(engine)
    }

    fn memory_available(&mut self) -> Result<Option<Bytes>> {
        holdings::memory_available().map_err(engine)
    }

    fn space(&mut self) -> Result<Option<Space>> {
        space::of(self.driver(), &self.testbed).map(Some).map_err(engine)
    }

    fn extents(&mut self, file: &Path) -> Result<Option<u64>> {
        let open = File::open(file).with_context(|| format!("cannot open {}", file.display())).map_err(engine)?;
        storage_sys::extents::count(&open).with_context(|| format!("cannot map {}", file.display())).map_err(engine)
    }

    fn map_write(&mut self, file: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
        mapping::write(file, offset, bytes).with_context(|| format!("cannot map {}", file.display())).map_err(engine)
    }

    fn cached(&mut self, file: &Path) -> Result<Bytes> {
        mapping::cached(file).with_context(|| format!("cannot map {}", file.display())).map_err(engine)
    }

    fn leave_out(&mut self, what: &str, why: &str) {
        if self.left_out.insert(what.to_owned(), why.to_owned()).is_none() {
            tracing::warn!("{what} is left out on {}: {why}", self.driver().name());
        }
    }

    fn remove_image(&mut self, name: &str) -> Result<()> {
        self.layers.store().remove(name, true).map_err(engine)?;
        // What only this build's cache needed goes with it: the next round must not find it.
        self.layers.store().cache().prune(std::time::Duration::ZERO).map_err(engine)?;
        self.layers.prune(&[]).map_err(engine)?;
        self.layers.store().gc(&[]).map_err(engine)?;
        Ok(())
    }

    fn counters(&mut self) -> Result<Option<DeviceCounters>> {
        Ok(self.testbed.counters().map_err(engine)?.map(counters))
    }

    fn processor(&mut self) -> Result<Processor> {
        processor::taken().map_err(engine)
    }

    fn drop_caches(&mut self) -> Result<bool> {
        self.testbed.counters().map_err(engine)?;
        Ok(processor::drop_caches())
    }

    fn is_stopped(&self) -> bool {
        stopped(&self.stop)
    }
}

impl BenchEngine {
    /// The report lacks `remove`; beside it is the time that unmounting took.
    fn run_on(
        &self,
        layer: &LayerId,
        run: &RunSpec<'_>,
        image: &harness_image::Image,
        started: Instant,
    ) -> Result<(RunReport, std::time::Duration)> {
        let mounted = self.layers.driver().mount(layer, MountMode::ReadWrite).map_err(engine)?;
        let prepare = started.elapsed();
        let started = Instant::now();
        let ran = self.start(layer.as_str(), mounted.path(), run, image, started);
        let closing = Instant::now();
        mounted.close().map_err(engine)?;
        let unmounting = closing.elapsed();
        Ok((RunReport { prepare, ..ran? }, unmounting))
    }

    fn start(
        &self,
        id: &str,
        root: &Path,
        run: &RunSpec<'_>,
        image: &harness_image::Image,
        started: Instant,
    ) -> Result<RunReport> {
        let words = containers::words(image, None, &run.command);
        let config = containers::config(image, root, words);
        let launch = Launch { stdio: Stdio::Output, ..Launch::new(id, spec(&config).map_err(engine)?) };
        let container = launch.start().map_err(engine)?;
        let start = started.elapsed();
        let started = Instant::now();
        let output = container.output(OUTPUT).map_err(engine)?;
        Ok(RunReport {
            status: output.exit.status(),
            stdout: output.stdout,
            stderr: output.stderr,
            start,
            run: started.elapsed(),
            ..RunReport::default()
        })
    }
}

fn report(step: harness_builder::StepReport, device: Option<DeviceCounters>) -> StepReport {
    let harness_builder::StepTimes { prepare, mount, run, diff, commit } = step.times;
    let layer = step.layer.map(|layer| LayerReport {
        size: layer.size,
        entries: layer.entries,
        exclusive: layer.exclusive,
        copied_up: layer.copied_up,
    });
    StepReport {
        diff_id: step.layer.map(|layer| layer.diff_id.to_string()),
        instruction: step.instruction,
        cached: step.cached,
        times: StepTimes { prepare, mount, run, diff, commit },
        layer,
        device,
    }
}

fn counters(stat: BlockStat) -> DeviceCounters {
    DeviceCounters {
        read: Bytes(stat.read_bytes),
        written: Bytes(stat.written_bytes),
        reads: stat.reads,
        writes: stat.writes,
        flushes: stat.flushes,
    }
}

/// Reads the device's counters before and after every step.
#[derive(Debug)]
struct Sampler<'a> {
    testbed: Option<&'a Testbed>,
    before: Option<DeviceCounters>,
    spent: std::time::Duration,
    counted: Vec<Option<DeviceCounters>>,
}

impl Sampler<'_> {
    fn sample(&mut self) -> Option<DeviceCounters> {
        let started = Instant::now();
        let sampled = self.testbed.and_then(|testbed| testbed.counters().ok().flatten()).map(counters);
        self.spent += started.elapsed();
        sampled
    }
}

impl Observer for Sampler<'_> {
    fn step_started(&mut self, _: &harness_builder::StepStart) {
        self.before = self.sample();
    }

    fn output(&mut self, _: usize, _: Stream, _: &[u8]) {}

    fn step_done(&mut self, _: &harness_builder::StepReport) {
        let after = self.sample();
        self.counted.push(self.before.zip(after).map(|(before, after)| after - before));
    }

    fn warning(&mut self, _: &str) {}
}

fn engine(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Engine(error.into())
}

fn build_error(error: harness_builder::Error) -> Error {
    match error {
        harness_builder::Error::Stopped => Error::Stopped,
        other => engine(other),
    }
}
