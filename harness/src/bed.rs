//! Where drivers are examined.

use std::path::{Path, PathBuf};

use harness_testbed::{FileSystem, Options, Spec, Testbed, loop_is_possible};

use crate::{
    drivers::{self, Entry},
    failure::Result,
    place::Place,
    scratch::{Purpose, Scratch},
};

/// Room for one driver, gone when it is closed.
#[derive(Debug)]
pub enum Bed {
    /// A file system made for it.
    Loop(Box<Testbed>),
    /// A directory on the file system of the data directory.
    Directory(Scratch),
}

impl Bed {
    /// On the data directory's file system where the driver works there, else on the one that it needs.
    pub fn here(place: &Place, entry: &Entry) -> Result<Self> {
        let dir = Scratch::make(place, Purpose::Trial)?;
        match needed(entry) {
            Some(file_system) if entry.try_out(&dir.path().join("trial")).is_err() => {
                dir.close()?;
                Ok(Self::Loop(Box::new(testbed(place, entry, &format!("loop:{},size=4G", file_system.name()))?)))
            }
            _ => Ok(Self::Directory(dir)),
        }
    }

    /// On a fresh file system, the same on every machine, with quotas where the kernel has them; or the reason why there is
    /// none, and a directory.
    pub fn fresh(place: &Place, entry: &Entry) -> Result<(Self, Option<String>)> {
        let file_system = needed(entry).unwrap_or_default();
        if let Err(why) = loop_is_possible(file_system) {
            return Ok((Self::Directory(Scratch::make(place, Purpose::Trial)?), Some(why.to_string())));
        }
        let spec = format!("loop:{},size=4G", file_system.name());
        let made = testbed(place, entry, &format!("{spec},quota")).or_else(|_| testbed(place, entry, &spec))?;
        Ok((Self::Loop(Box::new(made)), None))
    }

    /// The directory to work in.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Loop(testbed) => testbed.path().to_owned(),
            Self::Directory(dir) => dir.path().to_owned(),
        }
    }

    /// Its file system, for people.
    pub fn about(&self) -> String {
        match self {
            Self::Loop(testbed) => {
                let about = testbed.describe();
                format!("{} ({})", about.file_system, about.mount_options)
            }
            Self::Directory(_) => "this machine's own file system".to_owned(),
        }
    }

    /// Tries the driver out; the error says why it cannot run.
    pub fn try_out(&self, entry: &Entry) -> storage_driver::Result<()> {
        entry.try_out(&self.path().join("trial")).map(drop)
    }

    /// Opens the driver on a root below.
    pub fn subject(
        &self,
        entry: &'static Entry,
    ) -> driver_conformance::Opener<
        impl Fn(&Path) -> storage_driver::Result<std::sync::Arc<dyn storage_driver::StorageDriver>> + Send + Sync + use<>,
    > {
        let open = move |root: &Path| entry.open(root, &drivers::Options::new());
        driver_conformance::Opener::new(entry.name, open).below(self.path())
    }

    /// Takes it away.
    pub fn close(self) -> Result {
        match self {
            Self::Loop(testbed) => Ok(testbed.close()?),
            Self::Directory(dir) => dir.close(),
        }
    }
}

/// The file system without which the driver does not work. One that works on devices makes its own, in files, when it is given
/// none.
fn needed(entry: &Entry) -> Option<FileSystem> {
    entry.file_system.filter(|file_system| *file_system != FileSystem::Raw)
}

fn testbed(place: &Place, entry: &Entry, spec: &str) -> Result<Testbed> {
    let name = format!("examine-{}-{}", std::process::id(), entry.name);
    let options = Options { base: place.testbeds(), name, keep: false };
    Ok(Testbed::open(&spec.parse::<Spec>()?, &options)?)
}
