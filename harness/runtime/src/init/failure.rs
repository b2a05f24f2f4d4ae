use std::{ffi::CString, io};

use crate::channel::Failure;

/// A step that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) status: u8,
    pub(super) what: String,
    pub(super) source: Option<io::Error>,
}

impl Failed {
    /// A refusal that is no system call's error.
    pub(super) fn because(what: impl Into<String>) -> Self {
        Self { status: 125, what: what.into(), source: None }
    }

    pub(super) fn into_failure(self) -> Failure {
        let (mut what, mut errno) = (self.what, 0);
        if let Some(source) = self.source {
            match source.raw_os_error() {
                Some(raw) => errno = raw,
                None => what = format!("{what}: {source}"),
            }
        }
        // NULs do not occur in what paths and arguments are made of.
        Failure { status: self.status, errno, what: CString::new(what).unwrap_or_default() }
    }
}

/// Says what failed.
pub(super) trait OrFail<T> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Failed>;
}

impl<T, E: Into<io::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Failed> {
        self.map_err(|error| Failed { status: 125, what: what(), source: Some(error.into()) })
    }
}
