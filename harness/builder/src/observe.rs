use std::time::Duration;

use harness_image::DiffId;
use storage_driver::{Bytes, CopiedUp};

/// Where the time of an instruction went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// Making the writable layer.
    pub prepare: Duration,
    /// Mounting and unmounting it.
    pub mount: Duration,
    /// Running the command, or copying the files.
    pub run: Duration,
    /// Writing the layer tar.
    pub diff: Duration,
    /// Sealing and recording it.
    pub commit: Duration,
}

/// A layer that an instruction made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerSummary {
    /// Of the layer tar.
    pub diff_id: DiffId,
    /// Bytes of the layer tar.
    pub size: Bytes,
    /// Bytes of file content in it.
    pub content: Bytes,
    /// Entries in it.
    pub entries: u64,
    /// Bytes that the driver allocated for it alone.
    pub exclusive: Bytes,
    /// What the driver had to copy from the parent.
    pub copied_up: CopiedUp,
}

/// What one instruction did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepReport {
    /// From 0, over all stages that are built.
    pub index: usize,
    /// How many there are.
    pub total: usize,
    /// Name or number of the stage.
    pub stage: String,
    /// The instruction on one line.
    pub instruction: String,
    /// It came from the cache.
    pub cached: bool,
    /// Where the time went.
    pub times: StepTimes,
    /// The layer, unless the instruction changed the configuration only.
    pub layer: Option<LayerSummary>,
}

/// Which of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// An instruction that begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepStart {
    /// From 0, over all stages that are built, in the order in which they begin.
    pub index: usize,
    /// How many there are, as far as is known.
    pub total: usize,
    /// Name or number of the stage.
    pub stage: String,
    /// The instruction on one line.
    pub instruction: String,
}

/// Hears what a build does.
///
/// Stages that are built at the same time tell it of their steps in turns; `index` says which step is meant.
pub trait Observer {
    /// An instruction begins.
    fn step_started(&mut self, step: &StepStart);
    /// Its command wrote something.
    fn output(&mut self, index: usize, stream: Stream, bytes: &[u8]);
    /// It is done.
    fn step_done(&mut self, report: &StepReport);
    /// Something that the user may want to know.
    fn warning(&mut self, text: &str);
}
