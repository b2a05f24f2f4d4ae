//! A process whose every state-changing system call can be seen, refused, or be its last.
//!
//! The process is a fork of this one, traced by ptrace(2). A seccomp filter stops it at the calls that change what a
//! file system or the mount table holds ([`Class`]), whichever of its threads makes them, and at no other; so steps
//! are found at the kernel's edge and need no marks in the code that is examined. Between two such calls the process
//! can be killed anywhere with the same effect, since what it reads or computes dies with it.

mod calls;
mod describe;
mod filter;
mod registers;

use std::{collections::BTreeSet, io, io::Read, io::Write, path::PathBuf};

use nix::{
    errno::Errno,
    libc,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

pub use calls::Class;
use calls::{CHANGING_OPEN_FLAGS, Known, known, only_asks};
use registers::Stopped;

use crate::fork::{Exit, fork};

/// No kernel has a system call of this number; the filter lets the tracer see it, the kernel then refuses it.
const MARK: u32 = 0xf0f0;
const BEGIN: u64 = 1;
const END: u64 = 2;

/// The exit status of a process that could not be made ready.
const NOT_READY: i32 = 125;

/// A state-changing call that a traced process is about to make.
#[derive(Debug)]
pub struct Call {
    thread: Pid,
    known: &'static Known,
    stopped: Stopped,
    section: u32,
}

/// What is to become of a [`Call`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Proceed,
    /// The process is killed before the call, with all that it has started.
    Kill,
    /// The call writes the first half of what it was to write, then the process is killed. Only for calls for which
    /// [`Call::can_be_torn`] holds; for others as [`Kill`](Self::Kill).
    Tear,
    /// The call is not made and fails with this errno.
    Refuse(i32),
}

/// How a traced process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exited(Exit),
    /// By [`Action::Kill`] or [`Action::Tear`].
    Killed,
}

/// In a traced process: from now on its calls are shown to the tracer, as those of one more [section](Call::section).
pub fn begin() {
    mark(BEGIN);
}

/// In a traced process: its calls are the tracer's business no more.
pub fn end() {
    mark(END);
}

#[allow(unsafe_code)]
fn mark(which: u64) {
    // SAFETY: no system call has this number, so the kernel does nothing but answer ENOSYS.
    _ = unsafe { libc::syscall(MARK.into(), which) };
}

/// Runs `work` in a traced copy of this process and asks `decide` before every state-changing call that its threads
/// make between [`begin`] and [`end`]. Calls of programs that it starts are not shown; they are killed with it.
///
/// While `decide` runs, the thread that makes the call stands still; other threads run on. This process must have one
/// thread and no other children.
///
/// # Errors
/// [`fork`]'s; ptrace(2)'s, `EPERM` where a policy forbids it (Yama, a container's seccomp profile).
pub fn trace(work: impl FnOnce() -> i32, decide: &mut dyn FnMut(&Call) -> Action) -> io::Result<Ending> {
    let (mut gate, mut opener) = io::pipe()?;
    let child = fork(|| {
        let mut go = [0];
        if gate.read_exact(&mut go).is_err() || filter::install().is_err() {
            return NOT_READY;
        }
        work()
    })?;
    let options = Options::PTRACE_O_TRACESECCOMP
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(Pid::from_raw(child.id()), options)?;
    opener.write_all(&[1])?;
    let first = child.into_pid();
    let mut tracer =
        Tracer { first, alive: BTreeSet::from([first]), showing: false, section: 0, killed: false, decide };
    let ending = tracer.run().inspect_err(|_| tracer.kill_all())?;
    match ending {
        Ending::Exited(Exit::Status(NOT_READY)) => {
            Err(io::Error::other("the traced process could not install its filter"))
        }
        ending => Ok(ending),
    }
}

struct Tracer<'a> {
    first: Pid,
    /// Every thread and process that was seen and not yet seen to end.
    alive: BTreeSet<Pid>,
    showing: bool,
    section: u32,
    killed: bool,
    decide: &'a mut dyn FnMut(&Call) -> Action,
}

impl Tracer<'_> {
    fn run(&mut self) -> io::Result<Ending> {
        let mut ending = None;
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(Errno::ECHILD) => break,
                Err(error) => return Err(error.into()),
            };
            let exit = match status {
                WaitStatus::Exited(pid, status) => (pid, Exit::Status(status)),
                WaitStatus::Signaled(pid, signal, _) => (pid, Exit::Signal(signal as i32)),
                other => {
                    if let Some(pid) = other.pid() {
                        self.alive.insert(pid);
                    }
                    // A thread that was killed meanwhile cannot be told anything.
                    match self.stopped(other) {
                        Err(Errno::ESRCH) | Ok(()) => continue,
                        Err(error) => return Err(error.into()),
                    }
                }
            };
            self.alive.remove(&exit.0);
            if exit.0 == self.first {
                ending = Some(exit.1);
                // What it has started and not waited for.
                self.kill_all();
            }
        }
        match ending {
            Some(_) if self.killed => Ok(Ending::Killed),
            Some(exit) => Ok(Ending::Exited(exit)),
            None => Err(Errno::ECHILD.into()),
        }
    }

    fn stopped(&mut self, status: WaitStatus) -> Result<(), Errno> {
        match status {
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_SECCOMP) => self.at_call(pid),
            // The end of a call that was torn.
            WaitStatus::PtraceSyscall(_) => {
                self.killed = true;
                self.kill_all();
                Ok(())
            }
            // Births, and the first stop of whoever was born.
            WaitStatus::PtraceEvent(pid, ..) => ptrace::cont(pid, None),
            WaitStatus::Stopped(pid, signal) => ptrace::cont(pid, signal),
            _ => Ok(()),
        }
    }

    fn at_call(&mut self, thread: Pid) -> Result<(), Errno> {
        let stopped = registers::read(thread)?;
        if stopped.number == i64::from(MARK) {
            self.showing = stopped.arguments[0] == BEGIN;
            self.section += u32::from(self.showing);
            return ptrace::cont(thread, None);
        }
        let known = known().find(|known| known.number == stopped.number);
        let shown = |known: &&Known| self.showing && changes(known, &stopped, thread) && self.is_ours(thread);
        let Some(known) = known.filter(shown) else {
            return ptrace::cont(thread, None);
        };
        let call = Call { thread, known, stopped, section: self.section };
        match (self.decide)(&call) {
            Action::Proceed => ptrace::cont(thread, None),
            Action::Refuse(errno) => {
                registers::refuse(thread, errno)?;
                ptrace::cont(thread, None)
            }
            Action::Tear if call.can_be_torn() => {
                if let Some(length) = known.length {
                    registers::set_argument(thread, length, stopped.arguments[length] / 2)?;
                }
                ptrace::syscall(thread, None)
            }
            Action::Kill | Action::Tear => {
                self.killed = true;
                self.kill_all();
                Ok(())
            }
        }
    }

    /// Whether it is a thread of the process itself rather than of a program that it started.
    fn is_ours(&self, thread: Pid) -> bool {
        thread == self.first || PathBuf::from(format!("/proc/{}/task/{thread}", self.first)).exists()
    }

    fn kill_all(&self) {
        for pid in &self.alive {
            _ = kill(*pid, Signal::SIGKILL);
        }
    }
}

/// What the filter cannot see: arguments that are behind a pointer or mean something else for every device.
fn changes(known: &Known, stopped: &Stopped, thread: Pid) -> bool {
    match known.number {
        libc::SYS_ioctl => !only_asks(stopped.arguments[1]),
        // The flags are the first field of struct open_how (openat2(2)); what cannot be read is taken for a change.
        libc::SYS_openat2 => describe::number(thread, stopped.arguments[2])
            .is_none_or(|flags| flags & u64::from(CHANGING_OPEN_FLAGS) != 0),
        _ => true,
    }
}

impl Call {
    /// Such as `renameat2`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.known.name
    }

    /// What it does.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.known.class
    }

    /// How often [`begin`] had been called before: 1 for the first section.
    #[must_use]
    pub const fn section(&self) -> u32 {
        self.section
    }

    /// Whether half of it can be done: it writes at least two bytes.
    #[must_use]
    pub fn can_be_torn(&self) -> bool {
        self.known.length.is_some_and(|length| self.stopped.arguments[length] > 1)
    }

    /// The call with its arguments, as strace(1) would show it; descriptors by their files.
    #[must_use]
    pub fn describe(&self) -> String {
        describe::describe(self.thread, self.known, &self.stopped)
    }
}
