use std::{borrow::Cow, io, path::PathBuf};

use crate::LayerId;

/// A driver's answer, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a driver could not do, on what, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer id breaks the rules of [`LayerId`].
    #[error("invalid layer id {id:?}: {why}")]
    InvalidId {
        /// What was given.
        id: String,
        /// The rule.
        why: &'static str,
    },
    /// No such layer.
    #[error("layer {id} does not exist")]
    NotFound {
        /// The layer asked for.
        id: LayerId,
    },
    /// The id is taken.
    #[error("layer {id} exists already")]
    Exists {
        /// The id.
        id: LayerId,
    },
    /// The layer is sealed and was to be changed.
    #[error("layer {id} is sealed and cannot be changed")]
    Sealed {
        /// The layer.
        id: LayerId,
    },
    /// Writes to the layer have failed after they had been accepted, so it does not hold what was written.
    #[error(
        "layer {id} has lost what was written to it: {why}; copy what is left of it from a read-only mount, and remove it"
    )]
    Lost {
        /// The layer.
        id: LayerId,
        /// What the failing write said.
        why: String,
    },
    /// The layer was to be a parent and is not sealed.
    #[error("layer {id} is not sealed, so it cannot be a parent")]
    NotSealed {
        /// The parent asked for.
        id: LayerId,
    },
    /// The layer is mounted, in a way that stands against what was asked.
    #[error("layer {id} is in use: {how}")]
    InUse {
        /// The layer.
        id: LayerId,
        /// Such as "it is mounted read-write", and by whom where it is another process.
        how: Cow<'static, str>,
    },
    /// Other layers stand on it.
    #[error("layer {id} is the parent of {child}{}", more(.others))]
    HasChildren {
        /// The layer to be removed.
        id: LayerId,
        /// One of its children.
        child: LayerId,
        /// How many further children there are.
        others: usize,
    },
    /// The chain would be longer than the driver can mount.
    #[error("layer {id} would be number {depth} of its chain, and {driver} mounts at most {limit} layers")]
    TooDeep {
        /// The layer to be made.
        id: LayerId,
        /// The driver.
        driver: &'static str,
        /// What its depth would be.
        depth: u32,
        /// The driver's limit.
        limit: u32,
    },
    /// The driver does not have this ability, here.
    #[error("{driver} cannot {what} here: {why}")]
    Unsupported {
        /// The driver.
        driver: &'static str,
        /// The ability, as a verb: "limit a layer's size".
        what: &'static str,
        /// Why not, and the remedy where there is one.
        why: String,
    },
    /// The driver cannot work on this root or under this kernel at all.
    #[error("{driver} cannot use {}: {why}", .root.display())]
    Unusable {
        /// The driver.
        driver: &'static str,
        /// Its root.
        root: PathBuf,
        /// What is missing, and the remedy.
        why: String,
    },
    /// Another process has the root open.
    #[error("{} is in use by {holder}; wait for it to end, or choose another --root", .root.display())]
    Locked {
        /// The root.
        root: PathBuf,
        /// Who holds it: "process 4711 (harness run web)".
        holder: String,
    },
    /// What is on disk contradicts itself.
    #[error("{} is damaged: {why}", .path.display())]
    Corrupt {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A system call failed.
    #[error("cannot {op} {}: {source}{}", .path.display(), remedy(.source))]
    Io {
        /// What was tried, as a verb: "create", "mount".
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused a mount or a device operation and said more than an errno.
    #[error("cannot {op} {}: {source}: {log}", .path.display())]
    Kernel {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's own words.
        log: String,
        /// The errno.
        source: io::Error,
    },
    /// A layer could not be exported, imported or compared.
    #[error("layer {id}: {source}")]
    Layer {
        /// The layer.
        id: LayerId,
        /// What the codec said; it names the entry.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something failed, and cleaning up after it failed too.
    #[error("{cause}; and cleaning up failed: {cleanup}")]
    Rollback {
        /// The first failure.
        #[source]
        cause: Box<Error>,
        /// What the clean-up met.
        cleanup: Box<Error>,
    },
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub fn io<E: Into<io::Error>>(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source: source.into() }
    }

    /// True when the cause was a full file system, device or quota.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            }
            source = error.source();
        }
        false
    }
}

fn more(others: &usize) -> String {
    if *others == 0 { String::new() } else { format!(" and {others} more") }
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull => "; free some space on that file system and try again",
        io::ErrorKind::PermissionDenied => "; is this run as root, or in a user namespace of its own?",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_full_disk_is_recognised_through_every_wrapper() {
        let full = || io::Error::from_raw_os_error(28);
        let direct: Error = Error::io("write", "/x")(full());
        assert!(direct.is_no_space());
        let id = LayerId::new("a").unwrap();
        let wrapped = Error::Layer { id, source: Box::new(full()) };
        assert!(wrapped.is_no_space());
        assert!(wrapped.source().is_some());
        let cleanup = Box::new(Error::io::<io::Error>("remove", "/x")(io::Error::from_raw_os_error(5)));
        assert!(Error::Rollback { cause: Box::new(wrapped), cleanup }.is_no_space());
        assert!(!Error::io::<io::Error>("write", "/x")(io::Error::from_raw_os_error(5)).is_no_space());
    }
}
