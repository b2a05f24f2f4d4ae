use std::path::Path;

use crate::{Result, RunDir, RunRecord, Sample, derive, read_samples};

/// A run as it was left in its directory: what ran, and every sample.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// run.json.
    pub record: RunRecord,
    /// samples.csv.
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
        Ok(Self { record, samples: read_samples(&dir.samples())? })
    }

    /// The samples, and what is [derived](fn@derive) from them.
    #[must_use]
    pub fn with_derived(&self) -> Vec<Sample> {
        let mut samples = self.samples.clone();
        samples.extend(derive(&samples));
        samples
    }
}
