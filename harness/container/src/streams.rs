//! Where a container's standard streams lead: its log, the command that runs it, and who is attached.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    time::Duration,
};

use harness_runtime::{Container, Stdio, Stream};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{Configuration, Error, Result, control, front, log::LogWriter};

/// How long somebody who is attached and does not read keeps the container waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who is in front of a container while it runs.
#[derive(Debug)]
pub enum Front {
    /// Nobody: it is detached.
    Nobody,
    /// This process's own standard streams, those of them that are meant. Signals are the container's.
    Own(Meant),
    /// Another process, which may leave: the container goes on.
    Client(Ahead),
}

/// A process that is in front of a container which another one looks after.
#[derive(Debug)]
pub struct Ahead {
    /// What [`Attached::from_the_start`](crate::Attached::from_the_start) has the other end of.
    pub stream: UnixStream,
    /// Whether the container's input comes from there.
    pub interactive: bool,
    /// Rows and columns of its terminal.
    pub size: (u16, u16),
}

/// Which of a process's standard streams are a container's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meant {
    /// What it reads.
    pub stdin: bool,
    /// What it writes.
    pub stdout: bool,
    /// What it complains of.
    pub stderr: bool,
}

impl Meant {
    /// What is written, and what is typed if that is so.
    #[must_use]
    pub const fn output_and(stdin: bool) -> Self {
        Self { stdin, stdout: true, stderr: true }
    }

    /// Whether what it writes there goes to this process's stream of the name.
    #[must_use]
    pub const fn takes(self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

/// The outer ends of a container's streams.
pub(crate) struct Ends {
    pty: Option<File>,
    input: Option<File>,
    output: Vec<(Stream, File)>,
}

/// A container's streams, for as long as its supervisor lives.
#[derive(Debug)]
pub(crate) struct Streams {
    log: Option<Mutex<LogWriter>>,
    front: Front,
    tty: bool,
    attached: Mutex<Vec<UnixStream>>,
    /// The container's standard input or terminal while it runs.
    input: Mutex<Option<File>>,
    /// What passes this process's own input on; begun with the first run.
    pub(crate) passing: Once,
    /// That the log cannot be written is said once.
    complaining: Once,
}

impl Streams {
    pub(crate) fn open(dir: &std::path::Path, configuration: &Configuration, front: Front) -> Result<Self> {
        let log = if configuration.log.off { None } else { Some(LogWriter::open(dir, &configuration.log)?) };
        let attached = match &front {
            Front::Client(ahead) => vec![ahead.stream.try_clone().map_err(Error::io("copy", dir))?],
            Front::Nobody | Front::Own(_) => Vec::new(),
        };
        Ok(Self {
            log: log.map(Mutex::new),
            front,
            tty: configuration.tty,
            attached: Mutex::new(attached),
            input: Mutex::default(),
            passing: Once::new(),
            complaining: Once::new(),
        })
    }

    /// What the runtime is to make of the container's streams.
    pub(crate) fn stdio(&self, configuration: &Configuration) -> io::Result<Stdio> {
        let (rows, cols) = match &self.front {
            Front::Nobody => (24, 80),
            Front::Own(_) => front::size(),
            Front::Client(ahead) => ahead.size,
        };
        // Nothing is to be done between the container and these.
        let direct =
            |stdin| matches!(self.front, Front::Own(own) if own == Meant::output_and(stdin)) && self.log.is_none();
        Ok(match (configuration.tty, configuration.open_stdin) {
            (true, _) => Stdio::Pty { rows, cols },
            (false, true) if direct(true) => Stdio::Inherit,
            (false, false) if direct(false) => front::without_input()?,
            (false, true) => Stdio::Pipes,
            (false, false) => Stdio::Output,
        })
    }

    /// Takes the container's ends of its streams.
    pub(crate) fn take(container: &mut Container) -> Ends {
        let mut output = Vec::with_capacity(2);
        output.extend(container.take_stdout().map(|file| (Stream::Stdout, file)));
        output.extend(container.take_stderr().map(|file| (Stream::Stderr, file)));
        Ends { pty: container.take_pty(), input: container.take_stdin(), output }
    }

    /// Passes the container's output on until its end, and takes input for it meanwhile.
    pub(crate) fn pump(self: &Arc<Self>, ends: Ends) -> io::Result<()> {
        let Ends { pty, input, output } = ends;
        *lock(&self.input) = match &pty {
            Some(pty) => Some(pty.try_clone()?),
            None => input,
        };
        let raw = front::connect(self)?;
        let passed = match pty {
            Some(pty) => self.pass_terminal(pty),
            None => harness_runtime::drain(output, &mut |stream, bytes| self.write(stream, bytes)),
        };
        drop(raw);
        *lock(&self.input) = None;
        if let Some(log) = &self.log
            && let Err(error) = lock(log).finish()
        {
            self.complaining.call_once(|| tracing::warn!(%error, "output of a container is not in its log"));
        }
        passed
    }

    fn pass_terminal(&self, mut pty: File) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match pty.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => self.write(Stream::Stdout, &buffer[..length]),
                // Nothing has the other end open any more (ptmx's answer on Linux; pty(7) does not say).
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Passes output on. What cannot be written anywhere does not stop the container.
    fn write(&self, stream: Stream, bytes: &[u8]) {
        if let Some(log) = &self.log
            && let Err(error) = lock(log).write(stream, bytes)
        {
            self.complaining.call_once(|| tracing::warn!(%error, "output of a container is not in its log"));
        }
        if matches!(self.front, Front::Own(own) if own.takes(stream)) {
            let _ = match stream {
                Stream::Stdout => write_own(io::stdout().lock(), bytes),
                Stream::Stderr => write_own(io::stderr().lock(), bytes),
            };
        }
        // Who does not read any more is let go.
        lock(&self.attached).retain(|client| control::send_frame(client, stream, bytes).is_ok());
    }

    /// Gives the container input; false when it takes none any more.
    pub(crate) fn give(&self, bytes: &[u8]) -> bool {
        lock(&self.input).as_mut().is_some_and(|input| input.write_all(bytes).is_ok())
    }

    /// Ends the container's input, as docker does when the one in front of it has no more.
    pub(crate) fn end_input(&self) {
        if !self.tty {
            *lock(&self.input) = None;
        }
    }

    /// Gives the container's terminal a size.
    pub(crate) fn resize(&self, rows: u16, cols: u16) {
        if let Some(pty) = lock(&self.input).as_ref().filter(|_| self.tty) {
            // It may have gone with its container.
            let _ = tcsetwinsize(pty, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 });
        }
    }

    /// Another one who gets all output from now on.
    pub(crate) fn attach(&self, client: UnixStream) -> io::Result<()> {
        client.set_write_timeout(Some(PATIENCE))?;
        lock(&self.attached).push(client);
        Ok(())
    }

    /// Tells all that there will be no more, and with which status the container has ended.
    pub(crate) fn let_go(&self, status: Option<i32>) {
        for client in lock(&self.attached).drain(..) {
            // Whoever has gone need not hear it.
            let _ = status.map(|status| control::send_end(&client, status));
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    pub(crate) fn tty(&self) -> bool {
        self.tty
    }
}

fn write_own(mut out: impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
