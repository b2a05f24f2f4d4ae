//! What is written about a container: what it is, and how it is doing.

use harness_network::Attachment;
use harness_runtime::RunningRecord;
use serde::{Deserialize, Serialize};
use storage_driver::{LayerId, Timestamp};

use crate::{Configuration, Health};

/// What a container is; written when it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The user's, or two words.
    pub name: String,
    /// The image, as the user named it.
    pub image: String,
    /// Digest of the image's configuration.
    pub image_id: String,
    /// The storage driver.
    pub driver: String,
    /// Its options, `NAME=VALUE`.
    #[serde(default)]
    pub driver_options: Vec<String>,
    /// The container's writable layer.
    pub layer: LayerId,
    /// Whether it vanishes with its end (`--rm`).
    pub auto_remove: bool,
    /// When it was made.
    pub created: Timestamp,
    /// What it runs, and in what.
    pub configuration: Configuration,
}

impl Record {
    /// The id as people are shown it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// How a container is doing, as its supervisor last wrote it. That it runs is true only while the supervisor lives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What it is doing.
    pub phase: Phase,
    /// When it was last started.
    pub started: Option<Timestamp>,
    /// When it last ended.
    pub finished: Option<Timestamp>,
    /// How it last ended, as a shell sees it: the code, or 128 and the signal.
    pub status: Option<i32>,
    /// Why it could not be started.
    pub error: Option<String>,
    /// Whether the kernel killed one of its processes for want of memory.
    pub oom_killed: bool,
    /// Whether somebody stopped it, rather than the end of the machine's run.
    pub stopped: bool,
    /// How often its policy has started it again.
    pub restarts: u32,
    /// The supervisor's process id.
    pub supervisor: Option<u32>,
    /// The container's process 1 on the host, while there is one.
    pub pid: Option<u32>,
    /// Where other processes find it, while it runs.
    pub running: Option<RunningRecord>,
    /// Its place on the bridge, while it has one.
    pub network: Option<Attachment>,
    /// Whether it works, where there is a check.
    pub health: Option<Health>,
}

/// What a container's supervisor last wrote that it is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It was never started.
    #[default]
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It has ended and will be started again.
    Restarting,
    /// It has ended.
    Exited,
}

/// How a container is doing, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was never started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It has ended and will be started again.
    Restarting,
    /// It ended with this status.
    Exited(i32),
    /// Its supervisor was killed, or the machine; its processes have ended with that.
    Dead,
}

impl Status {
    /// What a state means while its container's supervisor is alive, or gone.
    #[must_use]
    pub fn of(state: &State, supervised: bool) -> Self {
        match (state.phase, supervised) {
            (Phase::Created, _) => Self::Created,
            (Phase::Exited, _) => Self::Exited(state.status.unwrap_or_default()),
            (Phase::Running, true) => Self::Running,
            (Phase::Paused, true) => Self::Paused,
            (Phase::Restarting, true) => Self::Restarting,
            (Phase::Running | Phase::Paused | Phase::Restarting, false) => Self::Dead,
        }
    }

    /// Docker's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited(_) => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether it has processes, or will have some again by itself.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}
