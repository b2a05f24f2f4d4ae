use std::{io, path::PathBuf};

/// Why the matrix could not be run; what a driver did wrong is in the report instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such fault or operation.
    #[error("there is no {what} {name:?}; there are {known}")]
    Unknown {
        /// `fault` or `operation`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A driver cannot work here at all.
    #[error("{driver} cannot run here: {why}")]
    Unusable {
        /// The driver.
        driver: String,
        /// What it said.
        why: String,
    },
    /// A driver failed where nothing was made to fail.
    #[error("{driver} failed without a fault while {what}: {why}")]
    Driver {
        /// The driver.
        driver: String,
        /// Such as `the matrix was being prepared`.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// The trees that layers are compared with could not be made.
    #[error("cannot make the trees to compare with: {0}")]
    Oracle(#[from] storage_layer::Error),
    /// A system call of the matrix itself failed.
    #[error("cannot {op} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program that the matrix needs is missing or failed.
    #[error("{program} failed: {said}; is {package} installed?")]
    Program {
        /// Such as `mkfs.ext4`.
        program: String,
        /// Its own words.
        said: String,
        /// The Debian package.
        package: &'static str,
    },
}

/// The matrix's answer, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source: source.into() }
    }
}
