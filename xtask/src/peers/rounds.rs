//! Rounds of all engines, interleaved, and their record: a run directory as any other's.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use results::{
    DriverRecord, Fingerprint, Kind, Params, RunDir, RunRecord, SCHEMA, Sample, SampleWriter, Unit, read_samples,
    summarise,
};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::{
    bed, crowd,
    engine::{Answer, Engine, Work},
    material::{Material, SEED},
    table,
};

/// The workload's name in the record.
pub const WORKLOAD: &str = "peers";

/// A run in the making.
pub struct Run {
    dir: RunDir,
    writer: SampleWriter,
    record: RunRecord,
}

impl Run {
    pub fn start(out: Option<&Path>, driver: &str, rounds: u32, material: &Material) -> Result<Self> {
        let now = SystemTime::now();
        let id = format!("{}-peers", results::compact(now));
        let dir = RunDir::create(&out.map_or_else(|| Path::new("results/runs").join(&id), Path::to_owned))?;
        let parameters = [("driver", driver.to_owned()), ("archive_bytes", material.bytes.to_string())];
        let record = RunRecord {
            schema: SCHEMA,
            run: id,
            command: std::env::args().collect(),
            directory: std::env::current_dir().unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: None,
            host: Fingerprint::of_this_host(),
            drivers: BTreeMap::new(),
            unusable: BTreeMap::new(),
            left_out: BTreeMap::new(),
            images: BTreeMap::new(),
            workloads: BTreeMap::from([(
                WORKLOAD.to_owned(),
                parameters.map(|(name, value)| (name.to_owned(), value)).into(),
            )]),
            measured: BTreeMap::new(),
            seed: SEED,
            rounds,
            warmup: 1,
            start: results::rfc3339(now),
            resumed: Vec::new(),
            end: None,
            outcome: None,
        };
        dir.write_record(&record)?;
        let writer = dir.writer()?;
        Ok(Self { dir, writer, record })
    }

    /// Says that an engine is not there, and why.
    pub fn leave_out(&mut self, engine: &str, why: &str) {
        self.record.unusable.insert(engine.to_owned(), why.to_owned());
    }

    /// Everything, one warm-up round first; each round begins with another engine.
    pub fn all(&mut self, engines: &mut [Box<dyn Engine>], material: &Material, wanted: &[Work]) -> Result<()> {
        // A program that Ctrl-C ends at once takes nothing away that it has made.
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, stop.clone()).context("cannot handle signals")?;
        }
        self.introduce(engines)?;
        for round in 0..=self.record.rounds {
            println!("round {round} of {}{}", self.record.rounds, if round == 0 { " (warm-up)" } else { "" });
            for work in wanted {
                for turn in 0..engines.len() {
                    ensure!(!stop.load(Ordering::Relaxed), "interrupted");
                    let which = (turn + round as usize) % engines.len();
                    let engine = &mut engines[which];
                    let done = self.one(engine.as_mut(), *work, round, material);
                    done.with_context(|| format!("{}, {}", engine.name(), work.name()))?;
                }
            }
        }
        for engine in engines.iter_mut() {
            for work in [Work::Load, Work::Build].iter().filter(|work| wanted.contains(work)) {
                if let Some(peak) = engine.peak(*work, material)? {
                    self.put(engine.name(), of(*work), 1, "total", "peak_memory", peak as f64, Unit::Bytes)?;
                }
            }
            let measured = self.record.measured.entry(WORKLOAD.to_owned()).or_default();
            measured.insert(engine.name().to_owned(), self.record.rounds);
        }
        Ok(())
    }

    /// Says in the record who takes part.
    fn introduce(&mut self, engines: &[Box<dyn Engine>]) -> Result<()> {
        for engine in engines {
            let status = BTreeMap::from([("version".to_owned(), engine.version()?)]);
            let testbed = serde_json::to_value(engine.bed().describe())?;
            self.record.drivers.insert(engine.name().to_owned(), DriverRecord { status, testbed });
        }
        Ok(self.dir.write_record(&self.record)?)
    }

    /// Containers in stores that are ever fuller.
    pub fn crowd(&mut self, engines: &mut Vec<Box<dyn Engine>>, sizes: &[u32], material: &Material) -> Result<()> {
        self.introduce(engines)?;
        let rounds = self.record.rounds;
        crowd::measure(engines, (sizes, rounds), material, |measured| {
            let params =
                Params::default().with("work", Work::Run.name()).with("others", format!("{:05}", measured.others));
            self.put(measured.engine, params, measured.round, "total", "wall", measured.seconds, Unit::Seconds)
        })?;
        for engine in engines.iter() {
            let measured = self.record.measured.entry(WORKLOAD.to_owned()).or_default();
            measured.insert(engine.name().to_owned(), rounds);
        }
        Ok(())
    }

    fn one(&mut self, engine: &mut dyn Engine, work: Work, round: u32, material: &Material) -> Result<()> {
        bed::sync(engine.bed())?;
        for _ in 0..work.repeats() {
            match engine.perform(work, material)? {
                Answer::Cannot(why) => {
                    let left_out = self.record.left_out.entry(engine.name().to_owned()).or_default();
                    left_out.insert(work.name().to_owned(), why.to_owned());
                    return Ok(());
                }
                Answer::Took(_) if round == 0 => {}
                Answer::Took(times) => {
                    for (phase, time) in times {
                        self.put(engine.name(), of(work), round, phase, "wall", time.as_secs_f64(), Unit::Seconds)?;
                    }
                }
            }
        }
        // What it left to be written by itself, or by nobody.
        let sync: Duration = bed::sync(engine.bed())?;
        if round > 0 && matches!(work, Work::Load | Work::Build | Work::Commit | Work::Remove) {
            self.put(engine.name(), of(work), round, "sync afterwards", "wall", sync.as_secs_f64(), Unit::Seconds)?;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "a sample has that many columns")]
    fn put(
        &mut self,
        driver: &str,
        params: Params,
        round: u32,
        phase: &str,
        metric: &str,
        value: f64,
        unit: Unit,
    ) -> Result<()> {
        let sample = Sample {
            schema: SCHEMA,
            run: self.record.run.clone(),
            driver: driver.to_owned(),
            workload: WORKLOAD.to_owned(),
            params,
            round,
            phase: phase.to_owned(),
            metric: metric.to_owned(),
            value,
            unit,
            kind: Kind::Time,
        };
        Ok(self.writer.write(&sample)?)
    }

    /// The summary, the charts, and the table.
    pub fn finish(mut self) -> Result<()> {
        self.record.end = Some(results::rfc3339(SystemTime::now()));
        self.record.outcome = Some("complete".to_owned());
        self.dir.write_record(&self.record)?;
        let samples = read_samples(&self.dir.samples())?;
        let summaries = summarise(&samples);
        self.dir.write_summary(&summaries)?;
        results::charts::render(&self.dir)?;
        print!("\n{}", table::ratios(&summaries, &self.record));
        println!("\n{}", self.dir.path().display());
        Ok(())
    }
}

/// The parameters of a cell.
fn of(work: Work) -> Params {
    Params::default().with("work", work.name())
}
