//! What a build is asked for.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use harness_image::Reference;
use harness_network::ExtraHost;
use storage_driver::Bytes;

use super::BuildNetwork;
use crate::{Error, NamedContexts, Result, cache_key::KeyMaker};

/// Limits for the commands of RUN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunLimits {
    /// Memory.
    pub memory: Option<Bytes>,
    /// The size of `/dev/shm`.
    pub shm_size: Option<Bytes>,
    /// Resource limits: name as in `ulimit` (`nofile`), soft, hard.
    pub ulimits: Vec<(String, u64, u64)>,
    /// The control group that theirs lie in, instead of the program's own.
    pub cgroup_parent: Option<PathBuf>,
}

impl RunLimits {
    /// As with BuildKit what commands can see of them counts for what they make. What is as usual adds nothing.
    pub(super) fn add_to(&self, key: &mut KeyMaker) {
        if let Some(size) = self.shm_size {
            key.add(format!("shm {}", size.get()).as_bytes());
        }
        self.ulimits.iter().for_each(|(name, soft, hard)| key.add(format!("ulimit {name} {soft} {hard}").as_bytes()));
    }
}

/// What a Dockerfile may do beyond a sandbox, by the names of BuildKit's entitlements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entitlements {
    /// `network.host`: `RUN --network=host`
    pub host_network: bool,
    /// `security.insecure`: `RUN --security=insecure`
    pub insecure: bool,
}

/// Something that a command may see and that never gets into an image.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// What is in a file.
    File(PathBuf),
    /// This.
    Value(Vec<u8>),
}

/// Without the value, which has no place in a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value"),
        }
    }
}

impl Secret {
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => fs::read(path).map_err(Error::io("read the secret", path)),
            Self::Value(value) => Ok(value.clone()),
        }
    }
}

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct BuildRequest {
    /// The build context, a directory.
    pub context: PathBuf,
    /// The Dockerfile; `Dockerfile` in the context by default.
    pub dockerfile: Option<PathBuf>,
    /// What it says, where it is no file.
    pub dockerfile_text: Option<Vec<u8>>,
    /// The stage to build; the last by default.
    pub target: Option<String>,
    /// What to build for; this machine's platform by default, and the only one that can be.
    pub platforms: Vec<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// Labels for the image.
    pub labels: BTreeMap<String, String>,
    /// What names of the Dockerfile mean, before stages and images.
    pub contexts: NamedContexts,
    /// Names for the image.
    pub tags: Vec<Reference>,
    /// Whether earlier builds' layers may not be used.
    pub no_cache: bool,
    /// Names or numbers of stages for which they may not be used.
    pub no_cache_stages: Vec<String>,
    /// Limits for RUN.
    pub limits: RunLimits,
    /// The network of RUN, unless it says otherwise itself.
    pub network: BuildNetwork,
    /// Where the bridge of this data directory is kept; without it there is none.
    pub networks: Option<PathBuf>,
    /// Further hosts that commands know.
    pub hosts: Vec<ExtraHost>,
    /// What a Dockerfile may ask for.
    pub allow: Entitlements,
    /// For `RUN --mount=type=secret`, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// Sockets of agents for `RUN --mount=type=ssh`, by id.
    pub ssh: BTreeMap<String, PathBuf>,
    /// How many stages may be built at the same time; one for 0.
    pub jobs: usize,
    /// Makes layers durable when it ends and not every second, too: so what the disk has to do is no matter of how fast the machine is.
    pub settle_once: bool,
    /// Set from another thread to stop the build.
    pub cancel: Arc<AtomicBool>,
}
