use std::{io, path::PathBuf};

use crate::{Diagnostic, Warning};

/// An answer of this crate, or [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The Dockerfile is wrong, or an instruction cannot be carried out for a reason that it gives.
    #[error(transparent)]
    Dockerfile(#[from] Diagnostic),
    /// A command failed.
    #[error("{place}: {instruction}: the command ended with status {status}{}", last_words(.output))]
    Run {
        /// `Dockerfile:7`.
        place: String,
        /// The instruction.
        instruction: String,
        /// As a shell sees it.
        status: i32,
        /// The end of what it said.
        output: String,
    },
    /// There is no stage of this name.
    #[error("there is no stage named {name:?} in {file}{}", .nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean {near}?")))]
    NoStage {
        /// What was asked for.
        name: String,
        /// The Dockerfile.
        file: String,
        /// A stage that may have been meant.
        nearest: Option<String>,
    },
    /// The file asks that build checks which find something fail the build.
    #[error("{}{file} says that build checks must find nothing, and they found {}", all(.warnings), .warnings.len())]
    Checks {
        /// The Dockerfile.
        file: String,
        /// What was found.
        warnings: Vec<Warning>,
    },
    /// An image for another kind of machine.
    #[error("cannot build for {wanted}: this machine builds for {ours} only")]
    Platform {
        /// What was asked for.
        wanted: String,
        /// What can be had.
        ours: String,
    },
    /// The time that all others are held to cannot be read.
    #[error("SOURCE_DATE_EPOCH is a number of seconds since 1970, not {text:?}")]
    Epoch {
        /// What it is.
        text: String,
    },
    /// A build argument that is the builder's own has no sense.
    #[error("the build argument {name} {why}")]
    Argument {
        /// Its name.
        name: String,
        /// What it is to be.
        why: String,
    },
    /// A context could not be fetched.
    #[error("cannot build from {address}: {why}")]
    Context {
        /// Where it is, without what may be a password.
        address: String,
        /// What went wrong.
        why: String,
    },
    /// A file could not be read or written.
    #[error("cannot {op} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The image store said no.
    #[error(transparent)]
    Image(#[from] harness_image::Error),
    /// The storage driver said no.
    #[error(transparent)]
    Driver(#[from] storage_driver::Error),
    /// Files could not be copied or unpacked.
    #[error(transparent)]
    Layer(#[from] storage_layer::Error),
    /// A container could not be started.
    #[error(transparent)]
    Runtime(#[from] harness_runtime::Error),
    /// Commands could not be given the network that was asked for.
    #[error("RUN has no network: {0}")]
    Network(#[source] harness_network::Error),
    /// The user asked to stop.
    #[error("the build was stopped")]
    Stopped,
}

impl Error {
    pub(crate) fn io<E: Into<io::Error>>(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source: source.into() }
    }
}

fn all(warnings: &[Warning]) -> String {
    warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

fn last_words(output: &str) -> String {
    output
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .map_or_else(String::new, |line| format!(": {}", line.trim()))
}
