use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use clap::Args;
use harness_image::Store;
use harness_testbed::{FileSystem, Spec, Testbed, loop_is_possible};
use results::{DriverRecord, Fingerprint, Kind, RunDir, RunRecord, SCHEMA, Sample, SampleWriter, Unit};
use workloads::{Engine, Measurement, Plan, Quantity, Recorder, Round, Scratch, Workload};

use crate::{
    cli::Common,
    commands::print,
    drivers::{self, Choice, Entry},
    engine::bench::BenchEngine,
    failure::{Failure, Result},
    nearest,
    place::Place,
    progress::Progress,
    say, signals,
};

/// Run workloads on drivers, interleaved, and write a run directory
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub common: Common,
    /// Drivers: one, several with commas, or all that work here
    #[arg(long, value_name = "NAME[,NAME...]")]
    pub driver: Vec<String>,
    /// Workloads: one, several with commas, or all
    #[arg(long, value_name = "NAME[,NAME...]", default_value = "build")]
    pub workload: Vec<String>,
    /// Rounds that are measured [default: such that the main job ends within a minute]
    #[arg(long, value_name = "N")]
    pub runs: Option<u32>,
    /// Rounds before that, not recorded
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub warmup: u32,
    /// One small round, to see that everything works
    #[arg(long)]
    pub quick: bool,
    /// A workload's parameter; `harness list` shows them
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Where the drivers' data lives: loop[:ext4|xfs|btrfs][,size=4G], dir:PATH or dev:PATH; the file system is the one that
    /// the driver needs, else ext4 [default: loop as root where loop devices and mkfs are there, else a directory below
    /// --root]
    #[arg(long, value_name = "TESTBED")]
    pub testbed: Option<String>,
    /// Driver option, such as metacopy=on; DRIVER:NAME=VALUE for one driver of several
    #[arg(long = "driver-opt", value_name = "[DRIVER:]NAME=VALUE")]
    pub driver_options: Vec<String>,
    /// Seed of everything random: contents, order of rounds
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The run directory, which is made [default: results/runs/<time>-<id>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What to print on standard output
    #[arg(long, default_value = "table", value_parser = ["table", "json", "csv"])]
    pub format: String,
    /// Keep the testbeds, to look at what is on them
    #[arg(long)]
    pub keep: bool,
}

/// Rounds when nothing is said: the main job stays within a minute on two cores.
const ROUNDS: u32 = 5;

pub fn run(args: &BenchArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let choice = drivers::choose(&args.driver)?;
    let workloads = choose_workloads(&args.workload)?;
    let params = args.params.iter().map(|pair| split(pair)).collect::<Result<BTreeMap<_, _>>>()?;
    let spec = testbed(args, &place)?;
    let stop = signals::stop_flag()?;
    let run = Run::start(args, &place)?;
    run.all(args, &choice, &workloads, &params, &spec, &stop)
}

fn choose_workloads(asked: &[String]) -> Result<Vec<Box<dyn Workload>>> {
    let mut chosen: Vec<Box<dyn Workload>> = Vec::new();
    for name in asked.iter().flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
        if name == "all" {
            return Ok(workloads::all());
        }
        let known: Vec<_> = workloads::all().iter().map(|workload| workload.name()).collect();
        let found = workloads::all().into_iter().find(|workload| workload.name() == name);
        chosen.push(found.ok_or_else(|| Failure::usage(nearest::unknown("workload", name, known.iter().copied())))?);
    }
    Ok(chosen)
}

fn split(pair: &str) -> Result<(String, String)> {
    let (name, value) =
        pair.split_once('=').ok_or_else(|| Failure::usage(format!("--param takes NAME=VALUE, not {pair:?}")))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A loop device where that is possible, since only a device of its own counts exactly.
fn testbed(args: &BenchArgs, place: &Place) -> Result<Spec> {
    if let Some(text) = &args.testbed {
        return Ok(text.parse()?);
    }
    match loop_is_possible(FileSystem::default()) {
        Ok(()) => Ok(Spec::default()),
        Err(why) => {
            let dir = place.testbeds().join("dir");
            say(&format!("no device of its own, so no device counters: {why}; using {}", dir.display()));
            Ok(Spec::Dir(dir))
        }
    }
}

/// One run directory in the making.
struct Run {
    id: String,
    dir: RunDir,
    writer: SampleWriter,
    record: RunRecord,
    place: Place,
    scratch: tempfile::TempDir,
}

impl Run {
    fn start(args: &BenchArgs, place: &Place) -> Result<Self> {
        let now = SystemTime::now();
        let nanos = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let id = format!("{}-{:06x}", results::compact(now), (nanos >> 4) ^ (std::process::id() << 8) & 0xff_ffff);
        let out = args.out.clone().unwrap_or_else(|| Path::new("results/runs").join(&id));
        let dir = RunDir::create(&out)?;
        let writer = dir.writer()?;
        let record = RunRecord {
            schema: SCHEMA,
            run: id.clone(),
            command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("HARNESS_COMMIT").map(str::to_owned),
            host: Fingerprint::of_this_host(),
            drivers: BTreeMap::new(),
            unusable: BTreeMap::new(),
            left_out: BTreeMap::new(),
            workloads: BTreeMap::new(),
            seed: args.seed,
            rounds: rounds(args),
            warmup: warmup(args),
            start: results::rfc3339(now),
            end: None,
            outcome: None,
        };
        std::fs::create_dir_all(place.path()).with_context(|| format!("cannot create {}", place.path().display()))?;
        let scratch = tempfile::Builder::new()
            .prefix("harness-run-")
            .tempdir_in(place.path())
            .with_context(|| format!("cannot write in {}", place.path().display()))?;
        Ok(Self { id, dir, writer, record, place: place.clone(), scratch })
    }

    fn all(
        mut self,
        args: &BenchArgs,
        choice: &Choice,
        workloads: &[Box<dyn Workload>],
        given: &BTreeMap<String, String>,
        spec: &Spec,
        stop: &Arc<AtomicBool>,
    ) -> Result {
        let mut engines = self.engines(args, choice, spec, stop)?;
        let mut outcome: Result = Ok(());
        for workload in workloads {
            let params = workloads::Params::new(&workload.params(), given, args.quick)?;
            self.record.workloads.insert(workload.name().to_owned(), params.pairs().clone());
            self.dir.write_record(&self.record)?;
            outcome = self.measure(args, workload.as_ref(), &params, &mut engines);
            if outcome.is_err() {
                break;
            }
        }
        for (entry, engine) in engines {
            if !engine.left_out().is_empty() {
                self.record.left_out.insert(entry.name.to_owned(), engine.left_out().clone());
            }
            let closed = engine.close();
            outcome = outcome.and(closed);
        }
        self.finish(args, outcome)
    }

    /// Opens every driver on a testbed of its own; with `all`, those that cannot run here are named and left out.
    fn engines(
        &mut self,
        args: &BenchArgs,
        choice: &Choice,
        spec: &Spec,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<(&'static Entry, BenchEngine)>> {
        let store = Store::open_with(&self.scratch.path().join("images"), harness_image::Durability::Skip)?;
        let mut engines = Vec::new();
        for entry in &choice.entries {
            let options = harness_testbed::Options {
                base: self.place.testbeds(),
                name: format!("{}-{}", self.id, entry.name),
                keep: args.keep,
            };
            let spec = spec.clone().or_on(entry.file_system.unwrap_or_default());
            let testbed = Testbed::open(&spec, &options)?;
            match BenchEngine::open(entry, &driver_options(args, entry)?, store.clone(), testbed, stop.clone()) {
                Ok(engine) => {
                    let record = DriverRecord {
                        status: engine.driver().status().pairs,
                        testbed: serde_json::to_value(engine.testbed().describe())?,
                    };
                    self.record.drivers.insert(entry.name.to_owned(), record);
                    engines.push((*entry, engine));
                }
                Err(error) if choice.all => {
                    say(&format!("{} cannot run here: {error}", entry.name));
                    self.record.unusable.insert(entry.name.to_owned(), error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        if choice.all {
            for (name, why) in drivers::absent() {
                say(&format!("{name} cannot run here: {why}"));
                self.record.unusable.insert(name.to_owned(), why.to_owned());
            }
        }
        if engines.is_empty() {
            return Err(Failure::usage("none of the drivers can run here"));
        }
        Ok(engines)
    }

    fn measure(
        &mut self,
        args: &BenchArgs,
        workload: &dyn Workload,
        params: &workloads::Params,
        engines: &mut [(&'static Entry, BenchEngine)],
    ) -> Result {
        let scratch = self.scratch.path().join(workload.name());
        std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
        let plan = Plan { rounds: rounds(args), warmup: warmup(args), seed: args.seed };
        let names: Vec<&'static str> = engines.iter().map(|(entry, _)| entry.name).collect();
        let mut ports: Vec<&mut dyn Engine> = engines.iter_mut().map(|(_, engine)| engine as &mut dyn Engine).collect();
        let mut bar = Bar::new(workload.name(), names.clone());
        let writer = std::cell::RefCell::new(&mut self.writer);
        let run = self.id.as_str();
        let for_round = |round: Round| {
            (round.number > 0).then(|| Row {
                writer: &writer,
                run,
                driver: names[round.driver],
                workload: workload.name(),
                round: round.number,
            })
        };
        let measured = workloads::run(workload, params, plan, &Scratch::new(scratch), &mut ports, for_round, &mut bar);
        measured.map_err(|error| match error {
            workloads::Error::Parameter { .. } => Failure::Environment(error.into()),
            workloads::Error::Stopped => {
                Failure::Status(130, Some(anyhow::anyhow!("stopped; what was measured is kept")))
            }
            workloads::Error::Engine(source) => classify(source),
            other => Failure::Failed(other.into()),
        })
    }

    /// Writes what the samples come to, whatever happened.
    fn finish(mut self, args: &BenchArgs, outcome: Result) -> Result {
        self.record.end = Some(results::rfc3339(SystemTime::now()));
        self.record.outcome = Some(match &outcome {
            Ok(()) => "complete".to_owned(),
            Err(Failure::Status(130, _)) => "interrupted".to_owned(),
            Err(failure) => format!("failed: {failure}"),
        });
        self.dir.write_record(&self.record)?;
        let samples = results::read_samples(&self.dir.samples())?;
        let summaries = results::summarise(&samples);
        self.dir.write_summary(&summaries)?;
        if samples.is_empty() {
            return outcome;
        }
        let charts = results::charts::render(&self.dir)?;
        match args.format.as_str() {
            "json" => print(&(serde_json::to_string_pretty(&summaries)? + "\n"))?,
            "csv" => print(&std::fs::read_to_string(self.dir.path().join("summary.csv"))?)?,
            _ => print(&results::summary_table(&summaries))?,
        }
        say(&format!("run directory: {} ({} charts in charts/)", self.dir.path().display(), charts.len()));
        outcome
    }
}

fn rounds(args: &BenchArgs) -> u32 {
    args.runs.unwrap_or(if args.quick { 1 } else { ROUNDS }).max(1)
}

fn warmup(args: &BenchArgs) -> u32 {
    if args.quick { 0 } else { args.warmup }
}

/// `NAME=VALUE` is for every driver, `DRIVER:NAME=VALUE` for one.
fn driver_options(args: &BenchArgs, entry: &Entry) -> Result<drivers::Options> {
    let mine = args.driver_options.iter().filter_map(|option| match option.split_once(':') {
        Some((driver, rest)) if !driver.contains('=') => {
            drivers::find(driver).ok().filter(|other| other.name == entry.name).map(|_| rest.to_owned())
        }
        _ => Some(option.clone()),
    });
    drivers::options(&mine.collect::<Vec<_>>())
}

/// A build that failed is status 1; a full disk, a missing privilege or a driver that refuses is the environment's.
fn classify(source: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    use harness_builder::Error as Build;
    match source.downcast::<Build>() {
        Ok(error) => match *error {
            Build::Dockerfile(_) | Build::Run { .. } | Build::NoStage { .. } => {
                Failure::Failed(anyhow::Error::from(*error))
            }
            other => Failure::Environment(anyhow::Error::from(other)),
        },
        Err(other) => Failure::Environment(anyhow::anyhow!("{other}")),
    }
}

/// Turns measurements into rows of samples.csv.
struct Row<'a, 'w> {
    writer: &'a std::cell::RefCell<&'w mut SampleWriter>,
    run: &'a str,
    driver: &'a str,
    workload: &'a str,
    round: u32,
}

impl Recorder for Row<'_, '_> {
    fn record(&mut self, measurement: &Measurement<'_>) -> workloads::Result<()> {
        let (value, unit, kind) = match measurement.quantity {
            Quantity::Time(time) => (time.as_secs_f64(), Unit::Seconds, Kind::Time),
            Quantity::Bytes(bytes) => (bytes.get() as f64, Unit::Bytes, Kind::Counter),
            Quantity::Count(count) => (count as f64, Unit::Count, Kind::Counter),
            Quantity::Ratio(ratio) => (ratio, Unit::Ratio, Kind::Shape),
            Quantity::Noisy(bytes) => (bytes.get() as f64, Unit::Bytes, Kind::Time),
        };
        let mut params = results::Params::default();
        for (name, value) in measurement.params {
            params.set(name, value);
        }
        let sample = Sample {
            schema: SCHEMA,
            run: self.run.to_owned(),
            driver: self.driver.to_owned(),
            workload: self.workload.to_owned(),
            params,
            round: self.round,
            phase: measurement.phase.to_owned(),
            metric: measurement.metric.to_owned(),
            value,
            unit,
            kind,
        };
        self.writer.borrow_mut().write(&sample).map_err(|error| workloads::Error::Engine(error.into()))
    }
}

/// What is running and how long it still takes.
struct Bar {
    workload: &'static str,
    drivers: Vec<&'static str>,
    progress: Progress,
    started: Instant,
}

impl Bar {
    fn new(workload: &'static str, drivers: Vec<&'static str>) -> Self {
        Self { workload, drivers, progress: Progress::new(1), started: Instant::now() }
    }
}

impl workloads::Progress for Bar {
    fn round(&mut self, round: Round, done: u64, total: u64) {
        let what = if round.number == 0 { "warm-up".to_owned() } else { format!("round {}", round.number) };
        let elapsed = self.started.elapsed();
        let left = if done == 0 { Duration::ZERO } else { elapsed.mul_f64((total - done) as f64 / done as f64) };
        let what =
            format!("{} on {}: {what} (about {} s left)", self.workload, self.drivers[round.driver], left.as_secs());
        self.progress.show(done, total, &what);
    }
}
