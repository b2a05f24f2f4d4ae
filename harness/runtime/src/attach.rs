//! A person at a container's terminal.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::OFlags,
    termios::{OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};

use crate::{Error, Process, Result};

/// Input that waits for the container to read it is bounded; beyond, the person's terminal keeps it.
const MAX_PENDING: usize = 4096;

impl Process {
    /// Connects `input` and `output`, such as this program's own standard streams, to the container's terminal until
    /// nothing in the container uses it any more.
    ///
    /// If `input` is a terminal it is in raw mode meanwhile, so that keys like Ctrl-C reach the container, and changes of
    /// its size are passed on. It is as before when this returns, and also when it panics.
    ///
    /// # Errors
    /// The program was started without [`Stdio::Pty`](crate::Stdio::Pty), or reading or writing failed.
    pub fn attach(&mut self, input: impl AsFd, output: impl AsFd) -> Result<()> {
        let pty = self.take_pty().ok_or_else(|| Error::invalid("attach", "the program has no terminal"))?;
        let raw = RawMode::enter(input.as_fd()).map_err(Error::io("set the terminal up"))?;
        let relayed = Relay::new(pty, input.as_fd(), output.as_fd(), raw.is_some()).and_then(Relay::run);
        drop(raw);
        relayed.map_err(Error::io("relay the terminal"))
    }
}

/// Lines and characters of the terminal behind `fd`, if it is one.
#[must_use]
pub fn terminal_size(fd: impl AsFd) -> Option<(u16, u16)> {
    tcgetwinsize(fd).ok().map(|size| (size.ws_row, size.ws_col))
}

/// A terminal that passes all keys on; as before when dropped.
struct RawMode<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> RawMode<'a> {
    /// `None` if `fd` is no terminal.
    fn enter(fd: BorrowedFd<'a>) -> io::Result<Option<Self>> {
        if !isatty(fd) {
            return Ok(None);
        }
        let before = tcgetattr(fd)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(fd, OptionalActions::Now, &raw)?;
        Ok(Some(Self { terminal: fd, before }))
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // Output that is under way still needs the raw settings.
        let _ = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

struct Relay<'a> {
    pty: File,
    /// `None` at its end.
    input: Option<BorrowedFd<'a>>,
    output: BorrowedFd<'a>,
    /// The terminal whose size counts, and the pipe that has a byte when it changes.
    resized: Option<(BorrowedFd<'a>, Resizes)>,
    pending: Vec<u8>,
}

/// A pipe that SIGWINCH writes to, until dropped.
struct Resizes {
    changed: UnixStream,
    registration: signal_hook::SigId,
}

impl Resizes {
    fn watch() -> io::Result<Self> {
        let (changed, notify) = UnixStream::pair()?;
        changed.set_nonblocking(true)?;
        let registration = signal_hook::low_level::pipe::register(libc::SIGWINCH, notify)?;
        Ok(Self { changed, registration })
    }
}

impl Drop for Resizes {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.registration);
    }
}

impl<'a> Relay<'a> {
    fn new(pty: File, input: BorrowedFd<'a>, output: BorrowedFd<'a>, is_terminal: bool) -> io::Result<Self> {
        // Neither direction may wait for the other.
        rustix::fs::fcntl_setfl(&pty, rustix::fs::fcntl_getfl(&pty)? | OFlags::NONBLOCK)?;
        let resized = is_terminal.then(|| Resizes::watch().map(|resizes| (input, resizes))).transpose()?;
        let relay = Self { pty, input: Some(input), output, resized, pending: Vec::new() };
        relay.pass_size_on();
        Ok(relay)
    }

    fn run(mut self) -> io::Result<()> {
        while self.step()? {}
        Ok(())
    }

    /// Moves what can be moved; `false` at the end.
    fn step(&mut self) -> io::Result<bool> {
        let wanted = if self.pending.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut polled = vec![PollFd::new(&self.pty, wanted)];
        let listens = self.input.filter(|_| self.pending.len() < MAX_PENDING);
        // One place each, so that results are found again: a descriptor without flags reports errors only.
        let at_input = listens.map(|input| push(&mut polled, PollFd::from_borrowed_fd(input, PollFlags::IN)));
        let at_resize = self.resized.as_ref().map(|(_, r)| push(&mut polled, PollFd::new(&r.changed, PollFlags::IN)));
        rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
        let ready = |at: Option<usize>| at.is_some_and(|at| !polled[at].revents().is_empty());
        let (resize, input, terminal) = (ready(at_resize), ready(at_input), polled[0].revents());
        drop(polled);
        if resize {
            self.take_resize();
        }
        if input {
            self.read_input()?;
        }
        if terminal.contains(PollFlags::OUT) {
            self.write_pending()?;
        }
        if terminal.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) { self.pass_output() } else { Ok(true) }
    }

    fn take_resize(&mut self) {
        if let Some((_, resizes)) = &mut self.resized {
            let mut bytes = [0; 64];
            // Several changes are as good as one.
            while matches!(resizes.changed.read(&mut bytes), Ok(1..)) {}
        }
        self.pass_size_on();
    }

    fn pass_size_on(&self) {
        if let Some((terminal, _)) = &self.resized
            && let Ok(Winsize { ws_row, ws_col, .. }) = tcgetwinsize(terminal)
        {
            // The terminal may have gone with its container.
            let _ = tcsetwinsize(&self.pty, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 });
        }
    }

    fn read_input(&mut self) -> io::Result<()> {
        let Some(input) = self.input else { return Ok(()) };
        let mut buffer = [0; MAX_PENDING];
        match rustix::io::retry_on_intr(|| rustix::io::read(input, &mut buffer)) {
            // At its end, or a terminal that hung up.
            Ok(0) | Err(rustix::io::Errno::IO) => self.input = None,
            Ok(n) => {
                self.pending.extend_from_slice(&buffer[..n]);
                self.write_pending()?;
            }
            Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn write_pending(&mut self) -> io::Result<()> {
        match self.pty.write(&self.pending) {
            Ok(n) => drop(self.pending.drain(..n)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) if error.raw_os_error() == Some(libc::EIO) => self.pending.clear(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn pass_output(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        match self.pty.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(n) => write_all(self.output, &buffer[..n]).map(|()| true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(true),
            // Nothing has the other end open any more, see pty(7).
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn push<'p>(polled: &mut Vec<PollFd<'p>>, fd: PollFd<'p>) -> usize {
    polled.push(fd);
    polled.len() - 1
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = &bytes[n..];
    }
    Ok(())
}
