use std::{error::Error as StdError, io, path::PathBuf};

use storage_layer::Digest;

/// An answer of the image store, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the image store could not do, on what, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("cannot {op} {}: {source}{}", .path.display(), remedy(.source))]
    Io {
        /// What was tried, as a verb: "create".
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A name breaks the rules of [`Reference`](crate::Reference).
    #[error("invalid image name {name:?}: {why}")]
    InvalidName {
        /// What was given.
        name: String,
        /// The rule.
        why: &'static str,
    },
    /// No image has this name or id.
    #[error("image {name:?} does not exist{}", suggestion(.near))]
    NotFound {
        /// What was asked for.
        name: String,
        /// Names that look like it, best first.
        near: Vec<String>,
    },
    /// An id was cut so short that several images match.
    #[error("image id {prefix:?} is ambiguous: it could be {}; give more of it", .matches.join(" or "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// What it matches.
        matches: Vec<String>,
    },
    /// An image was to be removed by its id and has several names.
    #[error("image {id} has several names ({}); remove it by name, or with --force", .names.join(", "))]
    SeveralNames {
        /// The image's short id.
        id: String,
        /// Its names.
        names: Vec<String>,
    },
    /// An image was to be made of parts that do not fit together.
    #[error("image would be invalid: {why}")]
    InvalidImage {
        /// What does not fit.
        why: String,
    },
    /// What is on disk contradicts itself.
    #[error("{} is damaged: {why}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A blob that an image needs is not there.
    #[error("blob {digest} is missing ({} does not exist); remove the image that needs it and make it again", .path.display())]
    MissingBlob {
        /// The blob.
        digest: Digest,
        /// Where it should be.
        path: PathBuf,
    },
    /// What was received under a digest is something else.
    #[error("what came as blob {digest} is something else: {why}")]
    WrongContent {
        /// The blob that was asked for.
        digest: Digest,
        /// What came.
        why: String,
    },
    /// An image uses something that is not supported.
    #[error("image {image}: {what} is not supported")]
    Unsupported {
        /// The image, by name or digest.
        image: String,
        /// What it uses.
        what: String,
    },
    /// A base image could not be made.
    #[error("cannot make the base image {name}: {why}")]
    Base {
        /// The base image.
        name: &'static str,
        /// What is missing, and the remedy.
        why: String,
    },
    /// A root file system archive could not be read.
    #[error("cannot import {name}: {source}")]
    Import {
        /// The name it was to get.
        name: String,
        /// What the reader or the codec said; it names the entry.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A layer could not be exported or imported.
    #[error(transparent)]
    Layer(#[from] storage_layer::Error),
    /// The storage driver failed.
    #[error(transparent)]
    Driver(#[from] storage_driver::Error),
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source: source.into() }
    }

    /// True when the cause was a full file system, device or quota.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        let mut source: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(error) = source {
            if let Some(driver) = error.downcast_ref::<storage_driver::Error>() {
                return driver.is_no_space();
            }
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            }
            source = error.source();
        }
        false
    }
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull => "; free some space on that file system and try again",
        io::ErrorKind::PermissionDenied => "; choose another --root, or run this as the user who owns it",
        _ => "",
    }
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}
