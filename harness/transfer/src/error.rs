use std::{io, path::PathBuf};

use storage_driver::Bytes;
use storage_layer::Digest;

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What could not be moved, from where or to where, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("cannot {op} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb: "create".
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Text that is no place where images live.
    #[error("{text:?} is no place for an image: {why}")]
    Location {
        /// What was given.
        text: String,
        /// The rule.
        why: String,
    },
    /// The tar of an archive is damaged, or ends too early.
    #[error("cannot read {origin}: {source}")]
    Archive {
        /// The file.
        origin: String,
        /// What is wrong; it names the entry.
        source: storage_layer::Error,
    },
    /// A source cannot be read any further.
    #[error("cannot read {origin}: {source}")]
    Read {
        /// The source.
        origin: String,
        /// What was said.
        source: io::Error,
    },
    /// A layer could not be laid out.
    #[error("layer {digest} of {origin}: {source}")]
    Layer {
        /// Where it came from.
        origin: String,
        /// The layer's blob.
        digest: Digest,
        /// What the driver or the store said.
        source: Box<harness_image::Error>,
    },
    /// What was received contradicts itself, or asks for what no image may ask for.
    #[error("{origin} is refused: {why}")]
    Refused {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something is larger than what the image store's file system has left.
    #[error("{origin} is refused: {what} has {wanted}, and there is room for {available} where the image store is")]
    NoRoom {
        /// Where it was to come from.
        origin: String,
        /// What it is.
        what: String,
        /// How much it is said to be.
        wanted: Bytes,
        /// How much there may be.
        available: Bytes,
    },
    /// A source has no such image.
    #[error("{origin} has no image {name:?}{}", instead(.there))]
    NotFound {
        /// The source.
        origin: String,
        /// What was asked for.
        name: String,
        /// What it has instead.
        there: Vec<String>,
    },
    /// A list of manifests has none that runs here.
    #[error("{origin} has no image for {wanted}; it has {}", .there.join(", "))]
    Platform {
        /// The source.
        origin: String,
        /// What was looked for.
        wanted: String,
        /// What it has.
        there: Vec<String>,
    },
    /// Text that names no platform.
    #[error("{text:?} is no platform: {why}")]
    PlatformName {
        /// What was given.
        text: String,
        /// The rule.
        why: String,
    },
    /// A layer is not what the configuration says.
    #[error("{origin} is refused: layer {digest} unpacks to {found}, and the configuration says {wanted}")]
    DiffId {
        /// Where it came from.
        origin: String,
        /// The layer as it is stored.
        digest: Digest,
        /// The digest of the plain tar.
        found: Digest,
        /// What the configuration says.
        wanted: Digest,
    },
    /// A file of credentials, or a helper that it names, does not give or take them.
    #[error("cannot use the credentials of {}: {why}", .file.display())]
    Credentials {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A registry does not let somebody in.
    #[error("registry {host} does not accept this user name and password{}", colon(.said))]
    Login {
        /// Its name.
        host: String,
        /// What it said, as it may stand in a message.
        said: String,
    },
    /// A registry could not be talked to.
    #[error("cannot reach registry {host}: {why}")]
    Unreachable {
        /// Its name.
        host: String,
        /// What was said.
        why: String,
    },
    /// A registry answered that it does not do what was asked for.
    #[error("{origin}: {what} failed with status {status}{}{}", colon(.said), advice(*.status))]
    Status {
        /// The registry and repository.
        origin: String,
        /// What was asked for.
        what: String,
        /// Of HTTP.
        status: u16,
        /// What it said, as it may stand in a message.
        said: String,
    },
    /// The image store failed.
    #[error(transparent)]
    Store(#[from] harness_image::Error),
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub(crate) fn io(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source }
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => matches!(*status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    pub(crate) fn refused(origin: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused { origin: origin.into(), why: why.into() }
    }
}

fn instead(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; it has {}", names.join(", ")),
    }
}

fn colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

const fn advice(status: u16) -> &'static str {
    match status {
        401 => "; it wants credentials: give them with `harness login`, or name a file with --authfile",
        403 => "; these credentials do not suffice",
        429 => "; it has had too many requests: try again later, or with credentials",
        _ => "",
    }
}
