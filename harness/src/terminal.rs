//! The user's terminal as the container's.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::fd::AsFd,
    thread,
};

use harness_runtime::{Container, Stdio};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use signal_hook::{consts::SIGWINCH, iterator::Signals};

/// Rows and columns of the user's terminal, or the customary ones.
pub fn size() -> (u16, u16) {
    tcgetwinsize(io::stdout()).map_or((24, 80), |size| (size.ws_row.max(1), size.ws_col.max(1)))
}

/// Output goes where this program's goes; there is no input, as docker without `-i`.
pub fn without_input() -> io::Result<Stdio> {
    let null = File::open("/dev/null")?.into();
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    let err = io::stderr().as_fd().try_clone_to_owned()?;
    Ok(Stdio::Files(null, out, err))
}

/// Copies between the user's terminal and the container's until the container has closed it.
pub fn attach(container: &mut Container, interactive: bool) -> io::Result<()> {
    let Some(mut pty) = container.take_pty() else { return Ok(()) };
    let _raw = if interactive && io::stdin().is_terminal() { Some(Raw::enter()?) } else { None };
    follow_size(pty.try_clone()?)?;
    if interactive {
        let mut input = pty.try_clone()?;
        // Reading the user's input cannot be interrupted; the thread ends with the program.
        thread::spawn(move || io::copy(&mut io::stdin().lock(), &mut input));
    }
    let mut out = io::stdout().lock();
    let mut buffer = [0; 16 * 1024];
    loop {
        match pty.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                out.write_all(&buffer[..length])?;
                out.flush()?;
            }
            // The other side is closed (pty(7) says nothing; Linux answers EIO).
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn follow_size(pty: File) -> io::Result<()> {
    let mut changes = Signals::new([SIGWINCH])?;
    thread::spawn(move || {
        for _ in &mut changes {
            if let Ok(size) = tcgetwinsize(io::stdout()) {
                let _ = tcsetwinsize(&pty, size);
            }
        }
    });
    Ok(())
}

/// A terminal that passes every key on; as it was when this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
