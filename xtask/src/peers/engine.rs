//! The work, and what does it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Result, bail};
use harness_testbed::Testbed;

use super::material::Material;

/// One kind of work, the same for every engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// An archive of three layers into images that containers can be made of.
    Load,
    /// A container of `true`: made, started, waited for and removed, by one command.
    Run,
    /// The same step by step, over the engine's own socket where it has one.
    Lifecycle,
    /// Changing 5,000 files in a container: what the next two work on.
    Change,
    /// Listing them.
    Diff,
    /// Making an image of them.
    Commit,
    /// Removing the image that was loaded.
    Remove,
    /// Ten steps without a cache.
    Build,
    /// The first byte written to a file of 256 MiB of the image, and the second; timed by a shell in the container.
    Append,
}

impl Work {
    /// In the order in which a round does it.
    pub const ALL: [Self; 9] = [
        Self::Load,
        Self::Run,
        Self::Lifecycle,
        Self::Change,
        Self::Diff,
        Self::Commit,
        Self::Remove,
        Self::Build,
        Self::Append,
    ];

    /// In the record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Run => "run",
            Self::Lifecycle => "lifecycle",
            Self::Change => "change",
            Self::Diff => "diff",
            Self::Commit => "commit",
            Self::Remove => "remove",
            Self::Build => "build",
            Self::Append => "append",
        }
    }

    /// For people.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Load => "load of the archive, layers laid out",
            Self::Run => "run --rm of `true`",
            Self::Lifecycle => "create, start, wait, remove of `true`",
            Self::Change => "run that appends to 2,500 files and makes 2,500",
            Self::Diff => "list of these 5,000 changes",
            Self::Commit => "commit of these 5,000 changes",
            Self::Remove => "removal of the image",
            Self::Build => "build of ten steps, no cache",
            Self::Append => "write to a file of 256 MiB of the image",
        }
    }

    /// How often in a round: what is over quickly is noisy.
    pub const fn repeats(self) -> u32 {
        match self {
            Self::Run | Self::Lifecycle => 5,
            _ => 1,
        }
    }

    /// Those that were asked for, and what they stand on.
    pub fn choose(names: &[String]) -> Result<Vec<Self>> {
        if names.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let mut wanted = Vec::new();
        for name in names {
            let Some(work) = Self::ALL.into_iter().find(|work| work.name() == name) else {
                let all: Vec<_> = Self::ALL.iter().map(|work| work.name()).collect();
                bail!("there is no work {name:?}; there is {}", all.join(", "));
            };
            wanted.push(work);
            match work {
                Self::Diff | Self::Commit => wanted.extend([Self::Load, Self::Change]),
                Self::Run | Self::Lifecycle | Self::Change | Self::Remove => wanted.push(Self::Load),
                Self::Load | Self::Build | Self::Append => {}
            }
        }
        wanted.sort();
        wanted.dedup();
        Ok(wanted)
    }
}

/// What became of it.
#[derive(Debug)]
pub enum Answer {
    /// Times by phase; the whole has the phase `total`.
    Took(BTreeMap<&'static str, Duration>),
    /// The engine cannot, for this reason.
    Cannot(&'static str),
}

impl Answer {
    pub fn total(wall: Duration) -> Self {
        Self::Took(BTreeMap::from([("total", wall)]))
    }
}

/// An engine, open on a file system of its own.
pub trait Engine {
    /// Its column: engine and driver.
    fn name(&self) -> &str;

    /// What it says of itself.
    fn version(&self) -> Result<String>;

    /// Where its data is.
    fn bed(&self) -> &Testbed;

    /// Brings the images there that work stands on.
    fn prepare(&mut self, material: &Material) -> Result<()>;

    /// Does the work, and checks that it was done; what has to be there before is made, unmeasured.
    fn perform(&mut self, work: Work, material: &Material) -> Result<Answer>;

    /// One more image in its store, of this archive of a root file system, and one more container, of the image that was loaded,
    /// which is not started; both have this name. False where it has no commands for that.
    fn crowd(&mut self, name: &str, archive: &Path) -> Result<bool> {
        let _ = (name, archive);
        Ok(false)
    }

    /// The most memory that its programs held at once in this work, in bytes, where that can be told.
    fn peak(&mut self, work: Work, material: &Material) -> Result<Option<u64>>;

    /// Ends it, and takes its data away.
    fn close(self: Box<Self>) -> Result<()>;
}
