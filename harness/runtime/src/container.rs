use std::{
    ops::{Deref, DerefMut},
    os::fd::{AsFd, BorrowedFd},
};

use crate::{
    ContainerProcess, Exec, Output, Process, Result, RunningRecord,
    cgroup::{Cgroup, Stats},
    exec_into::Origin,
    external::Outside,
    hooks::Hooks,
    running::Subject,
};

/// A running container, or one that has ended; what can be done with its process 1 can be done with it.
///
/// Dropping it kills what still runs, waits for it and removes its cgroup. All processes of a container end with its
/// process 1, so none is left then; where it has no pid namespace of its own, they are found by its cgroup and killed.
#[derive(Debug)]
pub struct Container {
    id: String,
    process: Process,
    cgroup: Option<Cgroup>,
    origin: Origin,
    hooks: Option<Hooks>,
    outside: Option<Outside>,
}

impl Container {
    /// One that an external runtime has made.
    pub(crate) fn outside(
        id: &str,
        process: Process,
        cgroup: Option<Cgroup>,
        origin: Origin,
        outside: Outside,
    ) -> Self {
        Self { id: id.to_owned(), process, cgroup, origin, hooks: None, outside: Some(outside) }
    }

    pub(crate) fn new(
        id: &str,
        process: Process,
        cgroup: Option<Cgroup>,
        origin: Origin,
        hooks: Option<Hooks>,
    ) -> Self {
        Self { id: id.to_owned(), process, cgroup, origin, hooks, outside: None }
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

    /// Where it is found by other processes, with [`Running::open`](crate::Running::open).
    ///
    /// # Errors
    /// Its process has ended and was waited for, or `/proc` cannot be read.
    pub fn record(&self) -> Result<RunningRecord> {
        RunningRecord::of(&self.id, self.pid(), self.cgroup.as_ref(), self.outside.as_ref())
    }

    /// Starts another program in the running container: in its namespaces, its cgroup and its root, with its
    /// capabilities, its seccomp filter and its limits. The program is being executed when this returns.
    ///
    /// It ends with the container, with this process, and when it is dropped. While it starts it counts as two
    /// processes of the container.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for `exec`, [`Error::Setup`](crate::Error::Setup) for what the kernel
    /// refuses, also when the container has ended, [`Error::Paused`](crate::Error::Paused) if it is paused,
    /// [`Error::Program`](crate::Error::Program) if the program cannot be executed. Nothing is left then.
    pub fn exec(&self, exec: Exec) -> Result<Process> {
        self.subject().exec(exec)
    }

    /// What it has used, also after its end. `None` if it has no cgroup: it gets one with a limit or with
    /// [`Launch::accounting`](crate::Launch::accounting).
    ///
    /// # Errors
    /// A file of the cgroup cannot be read.
    pub fn stats(&self) -> Result<Option<Stats>> {
        self.subject().stats()
    }

    /// Its processes, by their ids on the host: those of its pid namespace, or of its cgroup where it shares the former. None
    /// after its end.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn processes(&self) -> Result<Vec<ContainerProcess>> {
        self.subject().processes()
    }

    /// Stops all its processes where they are, until [`resume`](Self::resume), and returns when they have stopped.
    ///
    /// # Errors
    /// [`Error::Freeze`](crate::Error::Freeze) if it has no cgroup that can do it, or a process does not stop; then none
    /// stays stopped.
    pub fn pause(&self) -> Result<()> {
        self.subject().freeze(true)
    }

    /// Lets its processes go on after [`pause`](Self::pause).
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub fn resume(&self) -> Result<()> {
        self.subject().freeze(false)
    }

    /// Whether it is paused.
    ///
    /// # Errors
    /// A file of the cgroup cannot be read.
    pub fn is_paused(&self) -> Result<bool> {
        self.subject().is_paused()
    }

    /// Lets it go on by itself: it outlives this process if it was started without
    /// [`Launch::die_with_parent`](crate::Launch::die_with_parent). Its cgroup is left to
    /// [`gc_cgroups`](crate::gc_cgroups), and its exit status to nobody.
    pub fn detach(mut self) {
        self.process.set_detached();
        if let Some(cgroup) = self.cgroup.take() {
            cgroup.leave();
        }
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
        self.kill_and_wait();
        let removed = self.cgroup.take().map_or(Ok(()), Cgroup::remove);
        self.after_the_end();
        removed
    }

    fn subject(&self) -> Subject<'_> {
        let Self { id, process, cgroup, origin, outside, .. } = self;
        Subject {
            id,
            pid: process.pid(),
            pidfd: process.pidfd(),
            cgroup: cgroup.as_ref(),
            origin,
            outside: outside.as_ref(),
        }
    }

    fn after_the_end(&mut self) {
        if let Some(outside) = self.outside.take() {
            outside.remove();
        }
        if let Some(hooks) = self.hooks.take() {
            hooks.poststop();
        }
    }

    fn kill_and_wait(&self) {
        if let (Some(cgroup), Ok(None)) = (&self.cgroup, self.process.try_wait()) {
            // It cannot fail on a child that has not been reaped.
            let _ = self.process.signal(libc::SIGKILL);
            cgroup.thaw_for_the_end();
        }
        self.process.kill_and_wait();
        if let Some(cgroup) = self.cgroup.as_ref().filter(|_| self.origin.shares_processes) {
            cgroup.kill();
        }
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
        if self.process.is_detached() {
            return;
        }
        self.kill_and_wait();
        if let Some(cgroup) = self.cgroup.take()
            && let Err(error) = cgroup.remove()
        {
            tracing::warn!(id = self.id, %error, "a cgroup is left");
        }
        self.after_the_end();
    }
}
