use std::{io, path::PathBuf};

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What could not be recorded, read or drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The run directory is there already and holds something.
    #[error("{} is there already and is not empty; choose another --out, or remove it", .0.display())]
    Occupied(PathBuf),
    /// Another program writes into the run directory.
    #[error("another run is writing into {}; wait for its end", .0.display())]
    Busy(PathBuf),
    /// A file or directory could not be used.
    #[error("cannot {op} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{} is damaged: {why}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is no reference run of this kernel, file system and base image.
    #[error("{} has no reference run of fingerprint {fingerprint}: run the base here, too (--rebase REVISION), or keep this run as one (--record)", .dir.display())]
    NoReference {
        /// Where it was looked for.
        dir: PathBuf,
        /// Of the run that was to be compared.
        fingerprint: String,
    },
    /// A chart could not be drawn.
    #[error("cannot draw {}: {why}", .path.display())]
    Chart {
        /// The picture.
        path: PathBuf,
        /// What the drawing library said.
        why: String,
    },
}

impl Error {
    pub(crate) fn io<E: Into<io::Error>>(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source: source.into() }
    }
}
