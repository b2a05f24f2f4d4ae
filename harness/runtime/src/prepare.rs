//! What a container's parent does for it while its program waits.

use std::{
    error::Error as StdError,
    fmt,
    fs::File,
    os::fd::{BorrowedFd, OwnedFd},
};

use crate::{ContainerFile, Error, Result, process::Process};

/// A step of [`Launch::start`](crate::Launch::start), in this process, when the container's process and its namespaces
/// are there and nothing has been done in them yet: the time to give the container a network.
///
/// It answers with more files for the container, whose content it knows only then, such as `/etc/hosts`. If it fails, the
/// container is not started, and nothing is left of it; what the step itself has made is its own to undo.
pub struct Prepare(Step);

type Step = Box<dyn FnOnce(&Nascent<'_>) -> Result<Vec<ContainerFile>, Box<dyn StdError + Send + Sync>> + Send>;

impl Prepare {
    /// Wraps `step`.
    pub fn new<E, F>(step: F) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
        F: FnOnce(&Nascent<'_>) -> Result<Vec<ContainerFile>, E> + Send + 'static,
    {
        Self(Box::new(move |nascent| step(nascent).map_err(Into::into)))
    }

    pub(crate) fn run(self, process: &Process) -> Result<Vec<ContainerFile>> {
        (self.0)(&Nascent { process }).map_err(|source| Error::Prepare { source })
    }
}

impl fmt::Debug for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepare")
    }
}

/// A container whose program does not run yet.
#[derive(Debug)]
pub struct Nascent<'a> {
    process: &'a Process,
}

impl Nascent<'_> {
    /// Its process 1, as the host counts; nobody else gets the number before this has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The same as a descriptor (pidfd_open(2)).
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd()
    }

    /// A descriptor of its network namespace.
    ///
    /// # Errors
    /// [`Error::Io`] if the process has been killed, or /proc is not mounted.
    pub fn network_namespace(&self) -> Result<OwnedFd> {
        let path = format!("/proc/{}/ns/net", self.pid());
        File::open(&path).map(OwnedFd::from).map_err(Error::io(format!("open {path}")))
    }
}
