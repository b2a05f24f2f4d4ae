use std::error::Error;

/// How a case ends.
pub type Verdict<T = ()> = Result<T, Stop>;

/// Why a case did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The driver is wrong: what was expected and what came.
    Failed(String),
    /// The driver or this machine does not have what the case is about, and says so.
    NotApplicable(String),
}

impl Stop {
    /// A failure.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

/// Any error that a case does not expect is a failure, in its own words.
impl<E: Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Says what was being done when something failed.
pub trait During<T> {
    /// Puts `what` before the failure's text.
    ///
    /// # Errors
    /// The same outcome, with more words.
    fn during(self, what: impl FnOnce() -> String) -> Verdict<T>;
}

impl<T, E: Into<Stop>> During<T> for Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Verdict<T> {
        self.map_err(|error| match error.into() {
            Stop::Failed(text) => Stop::Failed(format!("{}: {text}", what())),
            other => other,
        })
    }
}

/// Fails the case unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::Stop::failed(format!($($text)+)));
        }
    };
}

/// Fails the case unless a result is an error of the given variant.
macro_rules! ensure_error {
    ($result:expr, $variant:pat, $what:expr) => {
        match $result {
            Err($variant) => {}
            Err(other) => {
                let expected = stringify!($variant);
                return Err($crate::Stop::failed(format!("{}: expected {expected}, got: {other}", $what)));
            }
            Ok(_) => {
                let expected = stringify!($variant);
                return Err($crate::Stop::failed(format!("{}: expected {expected}, but it succeeded", $what)));
            }
        }
    };
}

pub(crate) use {ensure, ensure_error};
