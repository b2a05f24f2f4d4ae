use std::{
    fs::{self, File, OpenOptions},
    io::BufWriter,
    path::{Path, PathBuf},
};

use crate::{Error, Result, RunRecord, Sample, Summary};

/// A run directory; it is made, or refused, before anything is measured.
#[derive(Debug, Clone)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Makes a new run directory and what leads to it.
    ///
    /// # Errors
    /// [`Error::Occupied`] when it is there and not empty; [`Error::Io`] when it cannot be made or written.
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        if fs::read_dir(path).map_err(Error::io("read", path))?.next().is_some() {
            return Err(Error::Occupied(path.to_owned()));
        }
        Ok(Self(path.to_owned()))
    }

    /// Opens one that is there.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the charts go.
    #[must_use]
    pub fn charts(&self) -> PathBuf {
        self.0.join("charts")
    }

    /// Where the samples are.
    #[must_use]
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples.csv")
    }

    /// Writes run.json, replacing it whole.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_record(&self, record: &RunRecord) -> Result<()> {
        let path = self.0.join("run.json");
        let json =
            serde_json::to_vec_pretty(record).map_err(std::io::Error::other).map_err(Error::io("write", &path))?;
        let new = self.0.join("run.json.new");
        fs::write(&new, json).map_err(Error::io("write", &new))?;
        fs::rename(&new, &path).map_err(Error::io("write", path))
    }

    /// Reads run.json.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Damaged`].
    pub fn read_record(&self) -> Result<RunRecord> {
        let path = self.0.join("run.json");
        let json = fs::read(&path).map_err(Error::io("read", &path))?;
        serde_json::from_slice(&json).map_err(|error| Error::Damaged { path, why: error.to_string() })
    }

    /// Starts samples.csv.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn writer(&self) -> Result<SampleWriter> {
        let path = self.samples();
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(Error::io("create", &path))?;
        Ok(SampleWriter { csv: csv::Writer::from_writer(file), path })
    }

    /// Continues samples.csv of an interrupted run with the rows that `keep` wants.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Damaged`].
    pub fn resume(&self, keep: impl Fn(&Sample) -> bool) -> Result<SampleWriter> {
        let path = self.samples();
        let kept = read_samples(&path)?.into_iter().filter(keep);
        // The old rows stay until the new file is whole.
        let new = self.0.join("samples.csv.new");
        let file = File::create(&new).map_err(Error::io("create", &new))?;
        let mut writer = SampleWriter { csv: csv::Writer::from_writer(file), path: path.clone() };
        let written = kept.into_iter().try_for_each(|sample| writer.csv.serialize(sample));
        written.map_err(std::io::Error::other).map_err(Error::io("write", &new))?;
        writer.csv.flush().map_err(Error::io("write", &new))?;
        fs::rename(&new, &path).map_err(Error::io("write", &path))?;
        Ok(writer)
    }

    /// Keeps other programs from writing into the run directory as long as the answer lives.
    ///
    /// # Errors
    /// [`Error::Busy`] when one does; [`Error::Io`].
    pub fn lock(&self) -> Result<File> {
        let dir = File::open(&self.0).map_err(Error::io("open", &self.0))?;
        match dir.try_lock() {
            Ok(()) => Ok(dir),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Busy(self.0.clone())),
            Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", &self.0)(error)),
        }
    }

    /// Writes summary.csv.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_summary(&self, summaries: &[Summary]) -> Result<()> {
        let path = self.0.join("summary.csv");
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        let mut writer = csv::Writer::from_writer(BufWriter::new(file));
        let mut write = || -> csv::Result<()> {
            for summary in summaries {
                writer.serialize(summary)?;
            }
            writer.flush()?;
            Ok(())
        };
        write().map_err(std::io::Error::other).map_err(Error::io("write", path))
    }
}

/// Writes samples.csv, one row as soon as it is there.
#[derive(Debug)]
pub struct SampleWriter {
    csv: csv::Writer<File>,
    path: PathBuf,
}

impl SampleWriter {
    /// Adds a row; it is in the file when this returns.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, sample: &Sample) -> Result<()> {
        let written = self.csv.serialize(sample).map_err(std::io::Error::other);
        written.and_then(|()| self.csv.flush()).map_err(Error::io("write", &self.path))
    }
}

/// Reads samples.csv; a last row without its line end, of a run that was killed, is left out.
///
/// # Errors
/// [`Error::Io`]; [`Error::Damaged`] for any other row that is no sample.
pub fn read_samples(path: &Path) -> Result<Vec<Sample>> {
    let mut bytes = fs::read(path).map_err(Error::io("read", path))?;
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    bytes.truncate(whole);
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let rows: csv::Result<Vec<Sample>> = reader.deserialize().collect();
    rows.map_err(|error| Error::Damaged { path: path.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Params, SCHEMA, Unit, summarise};

    fn sample(round: u32, value: f64) -> Sample {
        Sample {
            schema: SCHEMA,
            run: "r1".to_owned(),
            driver: "vfs".to_owned(),
            workload: "build".to_owned(),
            params: Params::default().with("step", "01 RUN echo a,b"),
            round,
            phase: "run".to_owned(),
            metric: "wall".to_owned(),
            value,
            unit: Unit::Seconds,
            kind: Kind::Time,
        }
    }

    #[test]
    fn a_killed_run_keeps_what_it_measured() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(&dir.path().join("a/b")).unwrap();
        let mut writer = run.writer().unwrap();
        let samples = [sample(1, 0.5), sample(2, 0.25), sample(3, 1.0)];
        for sample in &samples {
            writer.write(sample).unwrap();
        }
        assert_eq!(read_samples(&run.samples()).unwrap(), samples);
        let text = fs::read_to_string(run.samples()).unwrap();
        let header = "schema,run,driver,workload,params,round,phase,metric,value,unit,kind";
        assert_eq!(text.lines().next(), Some(header));
        fs::write(run.samples(), &text[..text.len() - 9]).unwrap();
        assert_eq!(read_samples(&run.samples()).unwrap(), samples[..2]);
    }

    #[test]
    fn a_resumed_run_keeps_whole_rounds_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(&dir.path().join("run")).unwrap();
        let lock = run.lock().unwrap();
        assert!(matches!(run.lock(), Err(Error::Busy(_))));
        drop(lock);
        let mut writer = run.writer().unwrap();
        let samples = [sample(1, 0.5), sample(2, 0.25), sample(2, 1.0)];
        samples.iter().for_each(|sample| writer.write(sample).unwrap());
        let mut writer = run.resume(|sample| sample.round < 2).unwrap();
        writer.write(&sample(2, 7.0)).unwrap();
        assert_eq!(read_samples(&run.samples()).unwrap(), [sample(1, 0.5), sample(2, 7.0)]);
        // Also where nothing was measured yet.
        let mut writer = run.resume(|_| false).unwrap();
        writer.write(&sample(1, 3.0)).unwrap();
        assert_eq!(read_samples(&run.samples()).unwrap(), [sample(1, 3.0)]);
    }

    #[test]
    fn the_summary_has_the_documented_columns() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        run.write_summary(&summarise(&[sample(1, 1.0), sample(2, 3.0), sample(3, 2.0)])).unwrap();
        let text = fs::read_to_string(dir.path().join("summary.csv")).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("driver,workload,params,phase,metric,unit,kind,n,median,ci_low,ci_high,mad"));
        assert_eq!(lines.next(), Some("vfs,build,\"step=01 RUN echo a,b\",run,wall,s,time,3,2.0,1.0,3.0,1.0"));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn results_are_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("run.json"), "{}").unwrap();
        assert!(matches!(RunDir::create(dir.path()), Err(Error::Occupied(_))));
    }
}
