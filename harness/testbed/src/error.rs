use std::{io, path::PathBuf};

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no testbed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no testbed.
    #[error("{text:?} is no testbed: {why}; there are loop[:ext4|xfs|btrfs][,size=4G], dir:PATH and dev:PATH")]
    Spec {
        /// What was given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// Loop devices and mounts are root's.
    #[error("a testbed of its own needs root to make loop devices and mounts; run as root, or use --testbed dir:PATH")]
    NotRoot,
    /// The program that makes the file system is missing.
    #[error("{program} is missing; Debian has it in the package {package}: apt-get install {package}")]
    NoMkfs {
        /// Such as `mkfs.xfs`.
        program: &'static str,
        /// The Debian package.
        package: &'static str,
    },
    /// It failed.
    #[error("{command} failed: {output}")]
    Mkfs {
        /// With its arguments.
        command: String,
        /// The end of what it said.
        output: String,
    },
    /// The device has something on it.
    #[error("{} holds {found}; a testbed would overwrite it. Wipe it yourself (wipefs -a) if that is meant", .path.display())]
    Occupied {
        /// The device.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// Something could not be done.
    #[error("cannot {op} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io<E: Into<io::Error>>(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source: source.into() }
    }
}
