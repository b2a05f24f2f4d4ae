use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::Fingerprint;

/// run.json: everything about a run but its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this file's and samples.csv's schema.
    pub schema: u32,
    /// The run's id, as in the samples.
    pub run: String,
    /// The command line.
    pub command: Vec<String>,
    /// The working directory that paths in it are relative to.
    #[serde(default)]
    pub directory: PathBuf,
    /// Version of the program.
    pub version: String,
    /// Commit that the program was built from, where that is known.
    pub commit: Option<String>,
    /// Where it ran.
    pub host: Fingerprint,
    /// What each driver said of itself, and where its data was.
    pub drivers: BTreeMap<String, DriverRecord>,
    /// Drivers that were asked for with `all` and cannot run here, with the reason.
    pub unusable: BTreeMap<String, String>,
    /// What workloads left out for want of something, by driver, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, BTreeMap<String, String>>,
    /// Base images, by name, with their ids: the same id is the same content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// Workloads with the parameters in force.
    pub workloads: BTreeMap<String, BTreeMap<String, String>>,
    /// Rounds that are measured whole, by workload and driver; further samples are of a round that was interrupted.
    #[serde(default)]
    pub measured: BTreeMap<String, BTreeMap<String, u32>>,
    /// Seed of everything random.
    pub seed: u64,
    /// Measured rounds that were asked for.
    pub rounds: u32,
    /// Rounds before that.
    pub warmup: u32,
    /// RFC 3339.
    pub start: String,
    /// When it was resumed after an interruption, RFC 3339.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<String>,
    /// RFC 3339; `None` while it runs, or when it was killed.
    pub end: Option<String>,
    /// How it ended: `complete`, `interrupted`, `failed: ...`.
    pub outcome: Option<String>,
}

/// One driver of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DriverRecord {
    /// Options in force and what was probed.
    pub status: BTreeMap<String, String>,
    /// The testbed: device, file system, mkfs and mount options.
    pub testbed: serde_json::Value,
}
