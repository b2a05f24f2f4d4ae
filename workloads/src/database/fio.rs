//! fio's job on a container's mounted layer, where fio is installed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde::Deserialize;

use super::{Origin, Sizes, mounted, take_away};
use crate::{
    Engine, Error, Quantity, Recorder, Result, SharedContainers,
    measure::{Cell, metered},
};

const JOB: &str = include_str!("random-write.fio");
const JOB_FILE: &str = "random-write.fio";
const SEED: &str = "20";

/// Bytes of the file that is written to, at most; that of the image is as large as its database.
const SIZE: u64 = 16 << 20;

/// An installed fio.
#[derive(Debug)]
pub(super) struct Fio {
    /// As it says itself: `fio-3.33`.
    version: String,
}

/// What fio writes with `--output-format=json`, as far as it is used here.
#[derive(Debug, Deserialize)]
struct Output {
    jobs: Vec<Job>,
}

#[derive(Debug, Deserialize)]
struct Job {
    error: i64,
    write: Write,
    sync: Sync,
}

#[derive(Debug, Deserialize)]
struct Write {
    total_ios: u64,
    clat_ns: Latency,
}

#[derive(Debug, Deserialize)]
struct Sync {
    lat_ns: Latency,
}

#[derive(Debug, Deserialize)]
struct Latency {
    /// How many were timed; of syncs `total_ios` leaves fdatasync(2) out.
    #[serde(rename = "N", default)]
    samples: u64,
    mean: f64,
    #[serde(default)]
    percentile: BTreeMap<String, u64>,
}

impl Latency {
    /// The mean and what fio has of the percentiles that people ask for.
    fn times(&self) -> Vec<(&'static str, Duration)> {
        let mut times = vec![("mean", Duration::from_secs_f64(self.mean.max(0.0) / 1e9))];
        for (name, key) in [("p50", "50.000000"), ("p99", "99.000000")] {
            times.extend(self.percentile.get(key).map(|&nanoseconds| (name, Duration::from_nanos(nanoseconds))));
        }
        times
    }
}

/// Puts the job's file where [`Fio::run`] finds it.
pub(super) fn write_job(dir: &Path) -> Result<()> {
    let path = dir.join(JOB_FILE);
    fs::write(&path, JOB).map_err(Error::io("write", path))
}

impl Fio {
    /// The one in the search path.
    pub(super) fn find() -> Result<Option<Self>> {
        match Command::new("fio").arg("--version").output() {
            Ok(output) if output.status.success() => {
                Ok(Some(Self { version: String::from_utf8_lossy(&output.stdout).trim().to_owned() }))
            }
            Ok(output) => Err(Error::effect("fio --version", "a version", output.status)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("run", "fio")(error)),
        }
    }

    /// Runs the job in a container's layer of its own.
    pub(super) fn run(
        &self,
        dir: &Path,
        origin: Origin,
        sizes: Sizes,
        containers: &SharedContainers,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        let (container, root) = mounted(containers)?;
        let file = root.join("data").join(format!("{}.db", origin.name()));
        let size = match origin {
            Origin::Image => fs::metadata(&file).map_err(Error::io("look at", &file))?.len().min(SIZE),
            Origin::New => SIZE,
        };
        let (output, cost) = metered(engine, |_| self.job(dir, &file, size, sizes.writes))?;
        let job = check(output, sizes.writes)?;
        let params = [("file", origin.name()), ("fio", self.version.as_str())];
        for (phase, latency) in [("write", &job.write.clat_ns), ("fdatasync", &job.sync.lat_ns)] {
            let cell = Cell { params: &params, phase };
            latency
                .times()
                .into_iter()
                .try_for_each(|(metric, time)| cell.put(recorder, metric, Quantity::Time(time)))?;
        }
        let all = Cell { params: &params, phase: "all" };
        all.put_cost(recorder, &cost)?;
        if let Some(device) = cost.device {
            let each = device.flushes as f64 / sizes.writes as f64;
            all.put(recorder, "flushes_per_write", Quantity::Ratio(each))?;
        }
        take_away(container)
    }

    fn job(&self, dir: &Path, file: &Path, size: u64, writes: u64) -> Result<Output> {
        let answer: PathBuf = dir.join("fio.json");
        let mut command = Command::new("fio");
        command.arg("--output-format=json").arg("--output").arg(&answer).arg(dir.join(JOB_FILE));
        command.env("FIO_FILE", file).env("FIO_SIZE", size.to_string());
        command.env("FIO_WRITES", writes.to_string()).env("FIO_SEED", SEED);
        let output = command.current_dir(dir).output().map_err(Error::io("run", "fio"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::effect(self.version.as_str(), "status 0", format!("{}: {said}", output.status)));
        }
        let json = fs::read(&answer).map_err(Error::io("read", &answer))?;
        serde_json::from_slice(&json).map_err(|error| Error::effect("fio's answer", "its JSON", error))
    }
}

/// The job, if it has done what was asked for.
fn check(output: Output, writes: u64) -> Result<Job> {
    let jobs = output.jobs.len();
    let [job] = <[Job; 1]>::try_from(output.jobs).map_err(|_| Error::effect("jobs of fio", 1, jobs))?;
    if job.error != 0 {
        return Err(Error::effect("fio's job", "no error", format!("error {}", job.error)));
    }
    if job.write.total_ios != writes {
        return Err(Error::effect("writes of fio's job", writes, job.write.total_ios));
    }
    // The last write's may be left to the end of the job.
    if job.sync.lat_ns.samples + 1 < writes {
        return Err(Error::effect("syncs of fio's job", writes, job.sync.lat_ns.samples));
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(writes: u64, syncs: u64, error: i64) -> Output {
        let json = format!(
            r#"{{"fio version": "fio-3.33", "jobs": [{{"jobname": "random-write", "error": {error},
            "write": {{"total_ios": {writes}, "clat_ns": {{"mean": 2500.0, "percentile": {{"50.000000": 2400}}}}}},
            "sync": {{"total_ios": 0, "lat_ns": {{"mean": 1000000.0, "N": {syncs}}}}}}}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn fios_numbers_are_taken_over() {
        let job = check(answer(30, 29, 0), 30).unwrap();
        let expected = vec![("mean", Duration::from_nanos(2500)), ("p50", Duration::from_nanos(2400))];
        assert_eq!(job.write.clat_ns.times(), expected);
        assert_eq!(job.sync.lat_ns.times(), [("mean", Duration::from_millis(1))]);
    }

    #[test]
    fn a_job_that_did_something_else_is_no_result() {
        for wrong in [answer(29, 29, 0), answer(30, 0, 0), answer(30, 30, 5), Output { jobs: Vec::new() }] {
            assert!(matches!(check(wrong, 30), Err(Error::Effect { .. })));
        }
    }
}
