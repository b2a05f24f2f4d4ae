//! How commands fail: for people, in one line, with an exit status that scripts can rely on.

use std::{fmt, process::ExitCode};

/// Why a command did not do what was asked; the variant decides the exit status.
#[derive(Debug)]
pub enum Failure {
    /// A check, gate or build failed: status 1.
    Failed(anyhow::Error),
    /// Wrong usage, or something that the environment lacks: status 2.
    Environment(anyhow::Error),
    /// A mistake of this program: status 3.
    Internal(anyhow::Error),
    /// What a container, or docker's convention for not starting one, gives: passed on as it is.
    Status(u8, Option<anyhow::Error>),
}

/// A command's answer.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Wrong usage, in a person's words.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::Environment(anyhow::anyhow!("{message}"))
    }

    /// A check that did not hold, in a person's words.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed(anyhow::anyhow!("{message}"))
    }

    /// The process's exit status.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Environment(_) => ExitCode::from(2),
            Self::Internal(_) => ExitCode::from(3),
            Self::Status(status, _) => ExitCode::from(*status),
        }
    }

    fn error(&self) -> Option<&anyhow::Error> {
        match self {
            Self::Failed(error) | Self::Environment(error) | Self::Internal(error) => Some(error),
            Self::Status(_, error) => error.as_ref(),
        }
    }
}

impl fmt::Display for Failure {
    /// The error and its causes, each said once: many errors name their cause in their own text already.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = self.error() else { return Ok(()) };
        let mut said = String::new();
        for cause in error.chain() {
            let text = cause.to_string();
            if !said.contains(&text) {
                if !said.is_empty() {
                    said.push_str(": ");
                }
                said.push_str(&text);
            }
        }
        f.write_str(&said)
    }
}

/// Anything a library says about files, kernels and images is about the environment, unless it says otherwise.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Environment(error.into())
    }
}

/// What the image store says: no such image, or a bad one, is the command's failure; a full disk and the like are the
/// environment's.
pub fn images_failure(error: harness_image::Error) -> Failure {
    use harness_image::Error as Image;
    match error {
        _ if error.is_no_space() => Failure::Environment(error.into()),
        Image::NotFound { .. } | Image::Ambiguous { .. } | Image::SeveralNames { .. } | Image::Import { .. } => {
            Failure::Failed(error.into())
        }
        other => Failure::Environment(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let cause = std::io::Error::other("disk on fire");
        let error = storage_driver::Error::io::<std::io::Error>("read", "/x")(cause);
        let failure = Failure::from(anyhow::Error::from(error).context("cannot open the store"));
        assert_eq!(failure.to_string(), "cannot open the store: cannot read /x: disk on fire");
    }
}
