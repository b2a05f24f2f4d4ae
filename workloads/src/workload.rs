use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    time::Duration,
};

use storage_driver::Bytes;

use crate::{Engine, Param, Params, Result, Room};

/// One workload, the same on every driver.
///
/// For a run: `room` is held against what each driver has; `setup` once; then for every driver `prepare` once; then rounds of `run` and `conclude`, which removes what the
/// round left; at last `cleanup` for every driver. Only `run` is measured.
pub trait Workload: Debug {
    /// The name that people choose it by.
    fn name(&self) -> &'static str;

    /// What it measures, in one line.
    fn about(&self) -> &'static str;

    /// Its parameters.
    fn params(&self) -> Vec<Param>;

    /// What of it is on the disk at one time, at most; `None` where that is little, or does not follow from the parameters.
    ///
    /// # Errors
    /// For parameters that make no sense.
    fn room(&self, _: &Params) -> Result<Option<Room>> {
        Ok(None)
    }

    /// Makes the input, the same bytes for every driver, in `scratch`.
    ///
    /// # Errors
    /// For parameters that make no sense, or files that cannot be made.
    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()>;

    /// Brings the driver to where rounds can start: base images laid out.
    ///
    /// # Errors
    /// The engine's.
    fn prepare(&self, params: &Params, scratch: &Scratch, engine: &mut dyn Engine) -> Result<()>;

    /// One round.
    ///
    /// # Errors
    /// The engine's, and [`Error::Effect`](crate::Error::Effect) when the effect is not what it should be.
    fn run(
        &self,
        params: &Params,
        scratch: &Scratch,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()>;

    /// Removes what the round left; called after a failed round, too.
    ///
    /// # Errors
    /// The engine's.
    fn conclude(&self, params: &Params, engine: &mut dyn Engine) -> Result<()>;

    /// Removes what `prepare` made.
    ///
    /// # Errors
    /// The engine's.
    fn cleanup(&self, params: &Params, engine: &mut dyn Engine) -> Result<()>;
}

/// Where a workload keeps its input; shared by all drivers, removed after the run.
#[derive(Debug, Clone)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// In a directory that is there.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// A value with its unit and the kind that follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantity {
    /// Wall-clock time.
    Time(Duration),
    /// Counted bytes.
    Bytes(Bytes),
    /// Counted things.
    Count(u64),
    /// A quotient of what was counted: a slope, an amplification.
    Ratio(f64),
    /// Bytes that the rest of the machine has a part in, as of its free memory: as noisy as time.
    Noisy(Bytes),
}

/// One number of a round.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement<'a> {
    /// What tells this cell from others of the workload: names and values.
    pub params: &'a [(&'a str, &'a str)],
    /// Part of the workload.
    pub phase: &'a str,
    /// What was measured.
    pub metric: &'a str,
    /// How much.
    pub quantity: Quantity,
}

/// Takes the numbers.
pub trait Recorder {
    /// Keeps one.
    ///
    /// # Errors
    /// When it cannot be written.
    fn record(&mut self, measurement: &Measurement<'_>) -> Result<()>;
}
