use std::{io, path::PathBuf};

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done with a container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none with this name or id.
    #[error("no such container: {name}")]
    NotFound {
        /// As it was asked for.
        name: String,
    },
    /// Several ids begin so.
    #[error("more than one container's id begins with {name}")]
    Ambiguous {
        /// As it was asked for.
        name: String,
    },
    /// The name is another container's.
    #[error("there is a container named {name} already ({id}); remove or rename it first")]
    NameTaken {
        /// The name.
        name: String,
        /// The other container.
        id: String,
    },
    /// It makes no sense for a container in this state, or of this configuration.
    #[error("container {name} {why}")]
    Refused {
        /// Its name.
        name: String,
        /// What is in the way, as the rest of the sentence, and what to do.
        why: String,
    },
    /// The container's supervisor said no.
    #[error("{why}")]
    Supervisor {
        /// In its words.
        why: String,
    },
    /// A file is not what was written.
    #[error("{path} is damaged ({why}); remove its directory", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such volume.
    #[error("no such volume: {name}")]
    NoVolume {
        /// As it was asked for.
        name: String,
    },
    /// A value makes no sense.
    #[error("{what}: {why}")]
    Invalid {
        /// The value, and where it stands.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The runtime.
    #[error(transparent)]
    Runtime(#[from] harness_runtime::Error),
    /// The network.
    #[error(transparent)]
    Network(harness_network::Error),
    /// The storage driver.
    #[error(transparent)]
    Driver(#[from] storage_driver::Error),
    /// The layer codec, copying an image's files into a volume.
    #[error(transparent)]
    Copy(#[from] storage_layer::Error),
    /// What the program around this says: no driver can be opened, for one.
    #[error("{0}")]
    Host(String),
    /// Another call failed.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// Such as "create".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

impl Error {
    /// The exit status of docker's command for a container that did not start: 127 if there is no such program, 126 if it
    /// cannot be executed, else 125.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Runtime(error) => error.status(),
            _ => 125,
        }
    }

    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action, path: path.into(), source: source.into() }
    }

    pub(crate) fn refused(name: &str, why: impl Into<String>) -> Self {
        Self::Refused { name: name.to_owned(), why: why.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), why: why.into() }
    }
}
