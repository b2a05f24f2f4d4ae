//! This process's own streams and signals, in front of a container.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    os::fd::AsFd,
    sync::Arc,
    thread,
};

use harness_runtime::Stdio;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH},
    iterator::Signals,
};

use crate::streams::{Front, Streams};

/// Signals that are meant for the container, as docker's `--sig-proxy` passes on.
pub(crate) const FORWARDED: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// Rows and columns of the user's terminal, or the customary ones.
pub(crate) fn size() -> (u16, u16) {
    tcgetwinsize(io::stdout()).map_or((24, 80), |size| (size.ws_row.max(1), size.ws_col.max(1)))
}

/// Output goes where this program's goes; there is no input, as docker without `-i`.
pub(crate) fn without_input() -> io::Result<Stdio> {
    let null = File::open("/dev/null")?.into();
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    let err = io::stderr().as_fd().try_clone_to_owned()?;
    Ok(Stdio::Files(null, out, err))
}

/// Passes this process's input, and the size of its terminal, on to a container that has been started.
pub(crate) fn connect(streams: &Arc<Streams>) -> io::Result<Option<Raw>> {
    let mut begun = Ok(None);
    match streams.front() {
        Front::Nobody => {}
        Front::Client(ahead) => streams.passing.call_once(|| {
            if ahead.interactive {
                begun = ahead.stream.try_clone().map(|stream| {
                    pass_input(stream, streams.clone());
                    None
                });
            }
        }),
        Front::Own(own) => {
            streams.passing.call_once(|| {
                if own.stdin {
                    pass_input(io::stdin(), streams.clone());
                }
                if streams.tty() {
                    begun = follow_size(streams.clone()).map(|()| None);
                }
            });
            if own.stdin && streams.tty() && begun.is_ok() {
                begun = Raw::enter();
            }
        }
    }
    begun
}

/// Reading the user's input cannot be interrupted; the thread ends with the program.
fn pass_input(mut input: impl Read + Send + 'static, streams: Arc<Streams>) {
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return streams.end_input(),
                Ok(length) => _ = streams.give(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
}

fn follow_size(streams: Arc<Streams>) -> io::Result<()> {
    let mut changes = Signals::new([SIGWINCH])?;
    thread::spawn(move || {
        for _ in &mut changes {
            let (rows, cols) = size();
            streams.resize(rows, cols);
        }
    });
    Ok(())
}

/// A terminal that passes every key on; as it was when this is dropped.
#[derive(Debug)]
pub struct Raw(Termios);

impl Raw {
    /// Sets standard input's terminal; `None` if it is none.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn enter() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
