//! One run: its directory, its drivers on their testbeds, its workloads one after the other.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::{Instant, SystemTime},
};

use anyhow::Context;
use harness_image::{Store, base::Base};
use harness_testbed::{Spec, Testbed};
use results::{DriverRecord, Fingerprint, RunDir, RunRecord, SCHEMA, SampleWriter};
use workloads::{Engine, Params, Plan, Round, Scratch, Workload};

use super::{
    BenchArgs, choice,
    resume::Resumed,
    room, rounds,
    row::Row,
    warmup,
    watch::{Estimate, Watch},
};
use crate::{
    commands::print,
    drivers::{Choice, Entry},
    engine::bench::BenchEngine,
    failure::{Failure, Result},
    place::Place,
    progress::Progress,
    say, scratch, signals,
};

/// One run directory in the making.
pub struct Run {
    id: String,
    dir: RunDir,
    _lock: File,
    writer: SampleWriter,
    record: RunRecord,
    place: Place,
    scratch: scratch::Scratch,
}

impl Run {
    /// Where it is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Begins a new one; its directory must not be there, or be empty.
    pub fn start(args: &BenchArgs, place: &Place) -> Result<Self> {
        let now = SystemTime::now();
        let nanos = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let id = format!("{}-{:06x}", results::compact(now), (nanos >> 4) ^ (std::process::id() << 8) & 0xff_ffff);
        let out = args.out.clone().unwrap_or_else(|| Path::new("results/runs").join(&id));
        let dir = RunDir::create(&out)?;
        let lock = dir.lock()?;
        let writer = dir.writer()?;
        let record = RunRecord {
            schema: SCHEMA,
            run: id.clone(),
            command: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            directory: std::env::current_dir().unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("HARNESS_COMMIT").map(str::to_owned),
            host: Fingerprint::of_this_host(),
            drivers: BTreeMap::new(),
            unusable: BTreeMap::new(),
            left_out: BTreeMap::new(),
            images: BTreeMap::new(),
            workloads: BTreeMap::new(),
            measured: BTreeMap::new(),
            seed: args.seed,
            rounds: rounds(args),
            warmup: warmup(args),
            start: results::rfc3339(now),
            resumed: Vec::new(),
            end: None,
            outcome: None,
        };
        let scratch = scratch::Scratch::make(place, scratch::Purpose::Run)?;
        Ok(Self { id, dir, _lock: lock, writer, record, place: place.clone(), scratch })
    }

    /// Goes on with one that was interrupted: whole rounds are kept, what there is of others is measured anew.
    pub fn resume(resumed: Resumed, place: &Place) -> Result<Self> {
        let Resumed { dir, mut record, .. } = resumed;
        let lock = dir.lock()?;
        let whole = |workload: &str, driver: &str| {
            record.measured.get(workload).and_then(|drivers| drivers.get(driver)).copied().unwrap_or(0)
        };
        let writer = dir.resume(|sample| sample.round <= whole(&sample.workload, &sample.driver))?;
        record.resumed.push(results::rfc3339(SystemTime::now()));
        (record.end, record.outcome) = (None, None);
        let id = record.run.clone();
        let scratch = scratch::Scratch::make(place, scratch::Purpose::Run)?;
        Ok(Self { id, dir, _lock: lock, writer, record, place: place.clone(), scratch })
    }

    /// Runs the workloads, and writes what they come to.
    pub fn all(
        mut self,
        args: &BenchArgs,
        choice: &Choice,
        workloads: &[(Box<dyn Workload>, Params)],
        spec: &Spec,
        stop: &Arc<AtomicBool>,
    ) -> Result {
        let mut engines = match self.engines(args, choice, spec, stop) {
            Ok(engines) => engines,
            Err(failure) => return self.finish(args, Err(failure)),
        };
        let outcome = self.workloads(args, workloads, &mut engines, spec, stop);
        let outcome = self.close(engines, outcome);
        self.finish(args, outcome)
    }

    fn workloads(
        &mut self,
        args: &BenchArgs,
        workloads: &[(Box<dyn Workload>, Params)],
        engines: &mut [(&'static Entry, BenchEngine)],
        spec: &Spec,
        stop: &AtomicBool,
    ) -> Result {
        let plans: Vec<Plan> =
            workloads.iter().map(|(workload, _)| self.plan(args, workload.name(), engines)).collect();
        // Nobody waits for the first workload to be told that the last one does not fit.
        for ((workload, params), plan) in workloads.iter().zip(&plans) {
            let fits = room::check(workload.as_ref(), params, plan, engines, spec, &self.place);
            fits.map_err(|error| failure(error, spec))?;
        }
        let mut estimate = Estimate::new(&plans, engines.len());
        let total = estimate.rounds();
        let bar = Progress::new(total);
        for (place, ((workload, params), plan)) in workloads.iter().zip(&plans).enumerate() {
            self.record.workloads.insert(workload.name().to_owned(), params.pairs().clone());
            self.dir.write_record(&self.record)?;
            let shown = Shown { estimate: &mut estimate, bar: &bar, total, place };
            let measured = self.measure(workload.as_ref(), params, plan, engines, spec, shown);
            // What the user's Ctrl-C did to a program that was running is not the driver's failure.
            if measured.is_err() && signals::stopped(stop) {
                return Err(interrupted());
            }
            measured?;
        }
        Ok(())
    }

    /// The rounds of a workload that are left.
    fn plan(&self, args: &BenchArgs, workload: &str, engines: &[(&'static Entry, BenchEngine)]) -> Plan {
        let measured = self.record.measured.get(workload);
        let of = |(entry, _): &(&Entry, BenchEngine)| measured?.get(entry.name).copied();
        let measured = engines.iter().map(|engine| of(engine).unwrap_or(0)).collect();
        Plan { rounds: rounds(args), warmup: warmup(args), seed: args.seed, measured }
    }

    /// Opens every driver on a testbed of its own; with `all`, those that cannot run here are named and left out.
    fn engines(
        &mut self,
        args: &BenchArgs,
        choice: &Choice,
        spec: &Spec,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<(&'static Entry, BenchEngine)>> {
        let store = self.store()?;
        let mut engines = Vec::new();
        let options_of_each = choice::driver_options(&args.driver_options, &choice.entries)?;
        for (entry, driver_options) in choice.entries.iter().zip(&options_of_each) {
            if let Some(mistake) = args.inject {
                mistake.check(entry.name).map_err(Failure::usage)?;
            }
            let options = harness_testbed::Options {
                base: self.place.testbeds(),
                // That of an attempt that was killed may still be there.
                name: format!("{}-{}-{}", self.id, entry.name, self.record.resumed.len()),
                keep: args.keep,
            };
            let spec = spec.clone().or_on(entry.file_system.unwrap_or_default());
            let testbed = Testbed::open(&spec, &options)?;
            match BenchEngine::open(entry, driver_options, store.clone(), testbed, args.inject, stop.clone()) {
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
        if engines.is_empty() {
            return Err(Failure::usage("none of the drivers can run here"));
        }
        Ok(engines)
    }

    /// Its images, which go with it.
    pub fn store(&self) -> Result<Arc<Store>> {
        Ok(Store::open_with(&self.scratch.path().join("images"), harness_image::Durability::Skip)?)
    }

    /// Notes which base images the run stood on: counters of other content are other counters.
    fn note_bases(&mut self) -> Result {
        for image in self.store()?.list()? {
            let Some(chain) = image.chain() else { continue };
            let names = image.references.iter().map(ToString::to_string);
            let bases = names.filter_map(|name| Some(name.strip_suffix(":latest")?.to_owned()));
            let bases = bases.filter(|name| name.parse::<Base>().is_ok());
            self.record.images.extend(bases.map(|name| (name, chain.to_string())));
        }
        Ok(())
    }

    fn measure(
        &mut self,
        workload: &dyn Workload,
        params: &Params,
        plan: &Plan,
        engines: &mut [(&'static Entry, BenchEngine)],
        spec: &Spec,
        shown: Shown<'_>,
    ) -> Result {
        let scratch = self.scratch.path().join(workload.name());
        std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
        let names: Vec<&'static str> = engines.iter().map(|(entry, _)| entry.name).collect();
        let mut ports: Vec<&mut dyn Engine> = engines.iter_mut().map(|(_, engine)| engine as &mut dyn Engine).collect();
        let Self { dir, writer, record, id, .. } = self;
        let writer = RefCell::new(writer);
        let for_round = |round: Round| {
            (round.number > 0).then(|| Row {
                writer: &writer,
                run: id.as_str(),
                driver: names[round.driver],
                workload: workload.name(),
                round: round.number,
            })
        };
        let mut note = |round: Round| {
            if round.number == 0 {
                return Ok(());
            }
            let drivers = record.measured.entry(workload.name().to_owned()).or_default();
            drivers.insert(names[round.driver].to_owned(), round.number);
            dir.write_record(record).map_err(|error| workloads::Error::Engine(error.into()))
        };
        let Shown { estimate, bar, total, place } = shown;
        let workload_name = workload.name();
        let mut watch = Watch {
            estimate,
            bar,
            total,
            place,
            workload: workload_name,
            drivers: &names,
            started: Instant::now(),
            note: &mut note,
        };
        let scratch = Scratch::new(scratch);
        let measured = workloads::run(workload, params, plan, &scratch, &mut ports, for_round, &mut watch);
        measured.map_err(|error| failure(error, spec))
    }

    /// Takes the testbeds away, also after a failure, which is then what is told.
    fn close(&mut self, engines: Vec<(&'static Entry, BenchEngine)>, mut outcome: Result) -> Result {
        for (entry, engine) in engines {
            if !engine.left_out().is_empty() {
                self.record.left_out.insert(entry.name.to_owned(), engine.left_out().clone());
            }
            let closed = engine.close();
            outcome = outcome.and(closed);
        }
        outcome
    }

    /// Nothing was measured, and nothing was there before.
    fn is_empty(&self) -> bool {
        self.record.resumed.is_empty() && self.record.measured.is_empty()
    }

    /// Writes what the samples come to, whatever happened. A run that could not begin leaves no directory.
    fn finish(mut self, args: &BenchArgs, outcome: Result) -> Result {
        if matches!(outcome, Err(Failure::Environment(_))) && self.is_empty() {
            let path = self.dir.path();
            std::fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
            return outcome;
        }
        self.note_bases()?;
        self.record.end = Some(results::rfc3339(SystemTime::now()));
        self.record.outcome = Some(match &outcome {
            Ok(()) => "complete".to_owned(),
            Err(Failure::Status(130, _)) => "interrupted".to_owned(),
            Err(failure) => format!("failed: {failure}"),
        });
        self.dir.write_record(&self.record)?;
        let samples = results::read_samples(&self.dir.samples())?;
        let derived = results::derive(&samples);
        let summaries = results::summarise(&[samples.as_slice(), &derived].concat());
        self.dir.write_summary(&summaries)?;
        if samples.is_empty() {
            return outcome;
        }
        let charts = results::charts::render(&self.dir)?;
        match args.format.as_str() {
            "json" => print(&(serde_json::to_string_pretty(&summaries)? + "\n"))?,
            "none" => {}
            "csv" => print(&std::fs::read_to_string(self.dir.path().join("summary.csv"))?)?,
            _ => print(&results::summary_table(&summaries))?,
        }
        say(&format!("run directory: {} ({} charts in charts/)", self.dir.path().display(), charts.len()));
        outcome
    }
}

/// Where a workload's progress is shown.
struct Shown<'a> {
    estimate: &'a mut Estimate,
    bar: &'a Progress,
    total: u64,
    place: usize,
}

fn failure(error: workloads::Error, spec: &Spec) -> Failure {
    use workloads::Error;
    match error {
        Error::Parameter { .. } | Error::Missing { .. } => Failure::Environment(error.into()),
        Error::Room { needed, .. } => room::told(&error, needed, spec),
        Error::Stopped => interrupted(),
        Error::Engine(source) => classify(source),
        other => Failure::Failed(other.into()),
    }
}

fn interrupted() -> Failure {
    Failure::Status(130, Some(anyhow::anyhow!("stopped; what was measured is kept, and --resume goes on with it")))
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
