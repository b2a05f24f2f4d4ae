use std::path::Path;

use crate::{Result, RunDir, RunRecord, Sample, derive, read_samples};

/// A run as it was left in its directory: what ran, and every sample.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// run.json.
    pub record: RunRecord,
    /// samples.csv, and what is [derived](derive) from it.
    pub samples: Vec<Sample>,
}

impl Recorded {
    /// Reads a run directory.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) and [`Error::Damaged`](crate::Error::Damaged).
    pub fn read(path: &Path) -> Result<Self> {
        let dir = RunDir::open(path);
        let record = dir.read_record()?;
        let mut samples = read_samples(&dir.samples())?;
        samples.extend(derive(&samples));
        Ok(Self { record, samples })
    }
}
