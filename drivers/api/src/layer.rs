use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Bytes, LayerId};

/// Names and values that a caller attaches to a layer; the driver keeps and never reads them.
pub type Labels = BTreeMap<String, String>;

/// Whether a layer can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerState {
    /// Writable; cannot be a parent yet. containerd calls it active.
    Writable,
    /// Never changes again; can be a parent. containerd calls it committed.
    Sealed,
}

/// Wall-clock time in nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time of the given clock reading; the epoch for anything before it.
    #[must_use]
    pub fn from_system(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// What a driver knows of a layer without opening it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerInfo {
    /// The layer's own id.
    pub id: LayerId,
    /// The layer below; `None` at the bottom of a chain.
    pub parent: Option<LayerId>,
    /// Writable or sealed.
    pub state: LayerState,
    /// When it was made.
    pub created: Timestamp,
    /// When it was sealed or its labels were last set; equal to `created` before that.
    pub updated: Timestamp,
    /// The caller's labels.
    pub labels: Labels,
}

/// How a layer is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// The most the layer may hold beyond its parent, as docker's `--storage-opt size=`. A driver that cannot
    /// enforce it answers [`Error::Unsupported`](crate::Error::Unsupported).
    pub size: Option<Bytes>,
    /// Labels from the start.
    pub labels: Labels,
    /// What is written to it is worth nothing after a power loss unless it is sealed before: a driver need not bring it to disk
    /// earlier, not even when a program in it asks.
    pub scratch: bool,
}

/// How a layer is to be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountMode {
    /// Writes change the layer.
    ReadWrite,
    /// The kernel refuses writes (`EROFS`), whoever asks.
    ReadOnly,
}

/// What a layer takes beyond its parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes allocated for this layer alone: given back if it were removed.
    pub exclusive: Bytes,
    /// Inodes held for this layer alone.
    pub inodes: u64,
    /// What the driver had to copy from the parent, part of `exclusive`.
    pub copied_up: CopiedUp,
}

/// Data that a layer holds only because its driver had to copy it from the parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopiedUp {
    /// Files that were copied, as far as the driver copies by file; zero otherwise.
    pub files: u64,
    /// Bytes allocated for the copies.
    pub bytes: Bytes,
}

/// What a driver says of itself: options in force, what was probed, where its data is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Sorted pairs for people and for the record of a run, such as `("backing file system", "ext4")`.
    pub pairs: BTreeMap<String, String>,
}

/// Something that a crash had left and that opening the driver took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it was: `mount`, `partial layer`, `record`, ...
    pub kind: &'static str,
    /// Where it was.
    pub path: PathBuf,
}
