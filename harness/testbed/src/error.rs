use std::{io, path::PathBuf};

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no testbed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no testbed.
    #[error(
        "{text:?} is no testbed: {why}; there are loop[:ext4|xfs|btrfs|raw][,size=8G][,quota][,memory], dir:PATH and dev:PATH[,ext4|xfs|btrfs|raw][,quota][,force]"
    )]
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
    /// It is no block device.
    #[error("{} is no block device; for a directory use dir:PATH, for a file as a device use loop", .path.display())]
    NoDevice {
        /// What was given.
        path: PathBuf,
    },
    /// The device is mounted, or part of something else.
    #[error("{} is in use: it is mounted, or claimed by another device", .path.display())]
    InUse {
        /// The device.
        path: PathBuf,
    },
    /// The device has something on it.
    #[error(
        "{0} has {found}, and a testbed would overwrite it; if that is meant, add \",force\" to dev:{0}",
        .path.display()
    )]
    Occupied {
        /// The device.
        path: PathBuf,
        /// What it holds.
        found: &'static str,
    },
    /// The file of a loop device would outgrow what it lies on.
    #[error(
        "a testbed of {} MiB does not fit into {}, which has {} MiB left; make it smaller (--testbed \
         loop,size=2G), or choose another --root",
        .needed >> 20, .base.display(), .available >> 20
    )]
    NoRoom {
        /// Where it was to be.
        base: PathBuf,
        /// Its size, in bytes.
        needed: u64,
        /// What is left there, in bytes.
        available: u64,
    },
    /// The kernel did not mount what was made.
    #[error("cannot mount {file_system} on {}: {source}", .path.display())]
    Mount {
        /// What was made.
        file_system: &'static str,
        /// Where.
        path: PathBuf,
        /// The kernel's words.
        source: storage_sys::mount::FsContextError,
    },
    /// The kernel does not mount it with project quotas.
    #[error(
        "cannot mount {file_system} with project quotas: {source}; the kernel needs {option}, or leave out \"quota\""
    )]
    NoQuota {
        /// What was made.
        file_system: &'static str,
        /// The kernel's build option.
        option: &'static str,
        /// The kernel's words.
        source: storage_sys::mount::FsContextError,
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
