use std::{
    ops::{Deref, DerefMut},
    os::fd::{AsFd, BorrowedFd},
};

use crate::{
    Output, Process, Result,
    cgroup::{Cgroup, Stats},
    exec_into::Origin,
};

/// A running container, or one that has ended; what can be done with its process 1 can be done with it.
///
/// Dropping it kills what still runs, waits for it and removes its cgroup. All processes of a container end with its
/// process 1, so none is left then.
#[derive(Debug)]
pub struct Container {
    id: String,
    process: Process,
    cgroup: Option<Cgroup>,
    origin: Origin,
}

impl Container {
    pub(crate) fn new(id: &str, process: Process, cgroup: Option<Cgroup>, origin: Origin) -> Self {
        Self { id: id.to_owned(), process, cgroup, origin }
    }

    /// The id given at the start.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id of the container's process 1 on the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has used, also after its end. `None` if it has no cgroup: it gets one with a limit or with
    /// [`Launch::accounting`](crate::Launch::accounting).
    ///
    /// # Errors
    /// A file of the cgroup cannot be read.
    pub fn stats(&self) -> Result<Option<Stats>> {
        self.cgroup.as_ref().map(Cgroup::stats).transpose()
    }

    /// As [`Process::output`], and then removes the container's cgroup.
    ///
    /// # Errors
    /// As [`Process::output`].
    pub fn output(mut self, limit: usize) -> Result<Output> {
        self.process.output(limit)
    }

    /// Kills what still runs and removes the cgroup.
    ///
    /// # Errors
    /// The cgroup cannot be removed; [`gc_cgroups`](crate::gc_cgroups) may later.
    pub fn close(mut self) -> Result<()> {
        self.process.kill_and_wait();
        self.cgroup.take().map_or(Ok(()), Cgroup::remove)
    }

    pub(crate) fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Deref for Container {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Container {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl AsFd for Container {
    /// A descriptor that is readable when the container has ended (pidfd_open(2)).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.process.kill_and_wait();
        if let Some(cgroup) = self.cgroup.take()
            && let Err(error) = cgroup.remove()
        {
            tracing::warn!(id = self.id, %error, "a cgroup is left");
        }
    }
}
