//! A copy of this process that goes on in Rust: fork(2) where it is safe.
#![allow(unsafe_code)]

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, getpid, getppid},
};

/// The status of a [`Child`] whose work panicked, as of a Rust program that does.
pub const PANICKED: i32 = 101;

/// A forked process. It is killed when this is dropped, and when the thread that forked it ends.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    reaped: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// Runs `work` in a copy of this process, which ends with its answer as its exit status.
///
/// Locks that other threads hold would stay locked in the copy for ever (fork(2), pthread_atfork(3)); so a process
/// that has other threads is refused. Nothing is flushed and no destructor of the caller's runs in the copy.
///
/// # Errors
/// `EBUSY` while this process has several threads; fork(2)'s.
pub fn fork(work: impl FnOnce() -> i32) -> io::Result<Child> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let parent = getpid();
    // SAFETY: this process has one thread, as was just seen and as only that thread could change; so no lock is held by
    // a thread that the child does not have, and the child may do whatever this process may.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Child { pid: child, reaped: false }),
        ForkResult::Child => {
            let orphan = prctl::set_pdeathsig(Signal::SIGKILL).is_err() || getppid() != parent;
            let status = if orphan { 1 } else { catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED) };
            // SAFETY: _exit(2) ends the process at once; exit handlers and buffers are the parent's.
            unsafe { libc::_exit(status) }
        }
    }
}

impl Child {
    /// Its process id.
    #[must_use]
    pub const fn id(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// waitpid(2)'s.
    pub fn wait(mut self) -> io::Result<Exit> {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(_, status)) => {
                    self.reaped = true;
                    return Ok(Exit::Status(status));
                }
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    self.reaped = true;
                    return Ok(Exit::Signal(signal as i32));
                }
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// kill(2)'s and waitpid(2)'s.
    pub fn kill(self) -> io::Result<Exit> {
        kill(self.pid, Signal::SIGKILL)?;
        self.wait()
    }

    /// For those who wait themselves.
    pub(crate) fn into_pid(mut self) -> Pid {
        self.reaped = true;
        self.pid
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            _ = kill(self.pid, Signal::SIGKILL);
            _ = waitpid(self.pid, None);
        }
    }
}
