use std::{
    fmt,
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustix::{
    io::Errno,
    process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid},
};

use crate::{
    Error, Result,
    exec::{self, Spawned},
    stdio::Streams,
};

/// How a program in a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By the signal with this number.
    Signal(i32),
}

impl Exit {
    /// The status as shells have it: the code, or 128 and the signal's number.
    #[must_use]
    pub fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Whether it is code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    fn of(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            // waitid(2) was asked for ended processes only.
            (None, None) => Self::Signal(libc::SIGKILL),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// A program in a container, or one that has ended: process 1, or what [`Container::exec`](crate::Container::exec)
/// started. Dropping it kills it and waits for it.
#[derive(Debug)]
pub struct Process {
    handle: Arc<Handle>,
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    pty: Option<File>,
    /// Whether it is left alone when this is dropped.
    detached: bool,
}

/// A child of this program: a container's process 1, or who waits for another program in the container.
#[derive(Debug)]
struct Handle {
    pid: Pid,
    pidfd: OwnedFd,
    /// The program, where it is not the child itself but the child's.
    program: OnceLock<OwnedFd>,
    exit: Mutex<Option<Exit>>,
}

/// Sends signals to a program, from any thread and also while another one waits for it.
#[derive(Debug, Clone)]
pub struct Signaller(Arc<Handle>);

impl Process {
    pub(crate) fn new(spawned: Spawned, streams: Streams) -> Self {
        let Spawned { pid, pidfd } = spawned;
        let Streams { stdin, stdout, stderr, .. } = streams;
        let handle = Arc::new(Handle { pid, pidfd, program: OnceLock::new(), exit: Mutex::new(None) });
        Self { handle, stdin, stdout, stderr, pty: None, detached: false }
    }

    pub(crate) fn set_pty(&mut self, pty: File) {
        self.pty = Some(pty);
    }

    /// Gives the program's terminal another size, if it has one and it was not taken.
    pub(crate) fn resize_pty(&self, rows: u32, columns: u32) -> Result<()> {
        let Some(pty) = &self.pty else { return Ok(()) };
        let cells = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let size = rustix::termios::Winsize { ws_row: cells(rows), ws_col: cells(columns), ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(pty, size).map_err(Error::io("set the terminal's size"))
    }

    /// Waits for it as soon as it ends, whoever asks for its end later: a container's process 1 cannot end before all
    /// that ended in its pid namespace were waited for.
    pub(crate) fn reap_when_it_ends(&self) -> Result<()> {
        self.when_it_ends(|| ())
    }

    /// Does `then` as soon as it has ended, whoever waits for it.
    pub(crate) fn when_it_ends(&self, then: impl FnOnce() + Send + 'static) -> Result<()> {
        let handle = Arc::clone(&self.handle);
        let reap = move || {
            let _ = handle.wait();
            then();
        };
        let spawned = std::thread::Builder::new().name("container-reaper".into()).spawn(reap);
        spawned.map(drop).map_err(Error::io("start a thread"))
    }

    /// Signals go to this process from now on, whose parent is the child that is waited for.
    pub(crate) fn set_program(&self, program: OwnedFd) {
        // It is said once, before anybody else has this.
        let _ = self.handle.program.set(program);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.handle.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.handle.pidfd.as_fd()
    }

    /// The end for writing of the standard input, with [`Stdio::Pipes`](crate::Stdio::Pipes); once.
    pub fn take_stdin(&mut self) -> Option<File> {
        self.stdin.take()
    }

    /// The end for reading of the standard output, with [`Stdio::Pipes`](crate::Stdio::Pipes) and
    /// [`Stdio::Output`](crate::Stdio::Output); once.
    pub fn take_stdout(&mut self) -> Option<File> {
        self.stdout.take()
    }

    /// The end for reading of the standard error, likewise.
    pub fn take_stderr(&mut self) -> Option<File> {
        self.stderr.take()
    }

    /// The outer end of the program's terminal, with [`Stdio::Pty`](crate::Stdio::Pty); once. Reading it gives EIO
    /// when nothing in the container has the terminal open any more (see ptmx's `read` in pty(7)).
    pub fn take_pty(&mut self) -> Option<File> {
        self.pty.take()
    }

    /// Sends the signal with this number to the program. One that has ended gets none, and that is no error.
    ///
    /// The kernel lets a process 1 ignore what it has no handler for, but for SIGKILL and SIGSTOP (pid_namespaces(7)).
    ///
    /// # Errors
    /// An unknown number.
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.handle.signal(signal)
    }

    /// A handle to send signals with.
    #[must_use]
    pub fn signaller(&self) -> Signaller {
        Signaller(Arc::clone(&self.handle))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The process was waited for elsewhere, or this program ignores SIGCHLD.
    pub fn wait(&self) -> Result<Exit> {
        self.handle.wait()
    }

    /// How it ended, `None` while it runs.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&self) -> Result<Option<Exit>> {
        self.handle.reap(WaitIdOptions::NOHANG)
    }

    /// Lets it go on by itself. It outlives this process if it does not die with it
    /// ([`Exec::die_with_parent`](crate::Exec::die_with_parent)), and nobody here learns its end.
    pub fn detach(mut self) {
        self.set_detached();
    }

    pub(crate) fn set_detached(&mut self) {
        self.detached = true;
    }

    pub(crate) fn is_detached(&self) -> bool {
        self.detached
    }

    pub(crate) fn kill_and_wait(&self) {
        if matches!(self.handle.reap(WaitIdOptions::NOHANG), Ok(None)) {
            // Neither can fail on a child that has not been reaped.
            let _ = self.handle.signal(libc::SIGKILL);
            let _ = self.handle.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.detached {
            self.kill_and_wait();
        }
    }
}

impl Signaller {
    /// As [`Process::signal`].
    ///
    /// # Errors
    /// An unknown number.
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.0.signal(signal)
    }
}

impl Handle {
    fn signal(&self, signal: i32) -> Result<()> {
        match exec::pidfd_signal(self.program.get().unwrap_or(&self.pidfd).as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other.map_err(Error::io(format!("send signal {signal} to a container"))),
        }
    }

    fn wait(&self) -> Result<Exit> {
        loop {
            if let Some(exit) = *self.lock() {
                return Ok(exit);
            }
            // Several threads may wait: all of them see the end, one of them reaps.
            match self.waitid(WaitIdOptions::NOWAIT) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::CHILD) if self.lock().is_some() => {}
                Err(error) => return Err(Error::io("wait for the container")(error)),
            }
            self.reap(WaitIdOptions::NOHANG)?;
        }
    }

    fn reap(&self, options: WaitIdOptions) -> Result<Option<Exit>> {
        let mut exit = self.lock();
        if exit.is_none() {
            let ended = self.waitid(options).map_err(Error::io("wait for the container"))?;
            *exit = ended.as_ref().map(Exit::of);
        }
        Ok(*exit)
    }

    fn waitid(&self, options: WaitIdOptions) -> Result<Option<WaitIdStatus>, Errno> {
        waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | options)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Exit>> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a program in a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Whether one of them was longer than the limit and is cut there.
    pub truncated: bool,
}

/// One of the streams that a program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Process {
    /// Passes what the program writes to `sink` as it comes, until both pipes are closed. Standard input that was not
    /// taken is closed first, since nobody would write it.
    ///
    /// # Errors
    /// Reading failed.
    pub fn stream(&mut self, sink: &mut dyn FnMut(Stream, &[u8])) -> Result<()> {
        self.stdin = None;
        let mut open = Vec::with_capacity(2);
        open.extend(self.stdout.take().map(|file| (Stream::Stdout, file)));
        open.extend(self.stderr.take().map(|file| (Stream::Stderr, file)));
        crate::relay::drain(open, sink).map_err(Error::io("read the container's output"))
    }

    /// Collects what the program writes, up to `limit` bytes a stream, and waits for its end. What is beyond the limit
    /// is read and dropped, so that the program does not block.
    ///
    /// # Errors
    /// As [`stream`](Self::stream) and [`wait`](Self::wait).
    pub fn output(&mut self, limit: usize) -> Result<Output> {
        let (mut stdout, mut stderr, mut truncated) = (Vec::new(), Vec::new(), false);
        self.stream(&mut |stream, bytes| {
            let into = if stream == Stream::Stdout { &mut stdout } else { &mut stderr };
            let room = limit.saturating_sub(into.len()).min(bytes.len());
            into.extend_from_slice(&bytes[..room]);
            truncated |= room < bytes.len();
        })?;
        let exit = self.wait()?;
        Ok(Output { exit, stdout, stderr, truncated })
    }
}

impl AsFd for Process {
    /// A descriptor that is readable when the program has ended (pidfd_open(2)).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd()
    }
}
