use std::fmt;

/// Why a template cannot be read or filled in, in a person's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(super) fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}
