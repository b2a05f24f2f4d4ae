use std::{io, path::PathBuf};

use storage_driver::Bytes;

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a workload did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine could not do what was asked.
    #[error(transparent)]
    Engine(Box<dyn std::error::Error + Send + Sync>),
    /// It did something, and not what the workload is about.
    #[error("{what}: expected {expected}, found {found}")]
    Effect {
        /// What was looked at.
        what: String,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// A parameter is unknown or makes no sense.
    #[error("parameter {name}: {why}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong, and what there is.
        why: String,
    },
    /// This machine lacks something that the workload's programs need.
    #[error("{what}; {remedy}")]
    Missing {
        /// Who needs what.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// It would fill the disk.
    #[error(
        "{workload} takes up to {needed} on {drivers}, and {free} are free there: ask for fewer or smaller {parameters}"
    )]
    Room {
        /// Which workload.
        workload: &'static str,
        /// On which driver, or several that share the space.
        drivers: String,
        /// What it takes at most at one time.
        needed: Bytes,
        /// What is left there.
        free: Bytes,
        /// Which parameters it follows from.
        parameters: &'static str,
    },
    /// A file of the workload's own could not be made.
    #[error("cannot {op} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
}

impl Error {
    pub(crate) fn io(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source }
    }

    pub(crate) fn effect(what: impl Into<String>, expected: impl ToString, found: impl ToString) -> Self {
        Self::Effect { what: what.into(), expected: expected.to_string(), found: found.to_string() }
    }
}

impl From<storage_driver::Error> for Error {
    fn from(error: storage_driver::Error) -> Self {
        Self::Engine(Box::new(error))
    }
}
