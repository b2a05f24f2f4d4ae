//! The container's terminal: opened on the container's own devpts, so that its name exists in the container.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Gid, Mode, OFlags, Uid},
    pty::OpenptFlags,
    termios::Winsize,
};

use super::{
    attach, beneath,
    failure::{Failed, OrFail},
};
use crate::{
    exec,
    plan::{Process, Terminal},
};

/// Opens a terminal, makes it the standard streams and the controlling terminal, and returns the other end. For process 1
/// it is the container's `console`, too.
pub(super) fn open(root: BorrowedFd<'_>, size: &Terminal, process: &Process, console: bool) -> Result<OwnedFd, Failed> {
    let what = || "open a terminal on /dev/pts of the container".to_owned();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = beneath::open_without_links(root, Path::new("/dev/pts/ptmx"), flags).or_fail(what)?;
    rustix::pty::unlockpt(&master).or_fail(what)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).or_fail(what)?;
    let size = Winsize { ws_row: clamp(size.rows), ws_col: clamp(size.columns), ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&slave, size).or_fail(|| "set the terminal's size".into())?;
    rustix::fs::fchown(&slave, Some(Uid::from_raw(process.uid)), None::<Gid>).or_fail(what)?;
    if console {
        bind_console(root, &slave)?;
    }
    exec::setsid_and_take_terminal(slave.as_fd()).or_fail(|| "take the controlling terminal".into())?;
    rustix::stdio::dup2_stdin(&slave).or_fail(what)?;
    rustix::stdio::dup2_stdout(&slave).or_fail(what)?;
    rustix::stdio::dup2_stderr(&slave).or_fail(what)?;
    Ok(master)
}

fn clamp(cells: u32) -> u16 {
    u16::try_from(cells).unwrap_or(u16::MAX)
}

/// `/dev/console` is the terminal too, see the default devices in the OCI runtime specification.
fn bind_console(root: BorrowedFd<'_>, slave: &OwnedFd) -> Result<(), Failed> {
    let what = || "bind /dev/console".to_owned();
    let dev = beneath::open_without_links(root, Path::new("/dev"), OFlags::PATH | OFlags::DIRECTORY).or_fail(what)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    drop(rustix::fs::openat(&dev, c"console", flags, Mode::from_raw_mode(0o600)).or_fail(what)?);
    let place = beneath::open_without_links(dev.as_fd(), Path::new("console"), OFlags::PATH).or_fail(what)?;
    let mount = attach::copy(slave, false).or_fail(what)?;
    attach::attach(&mount, &place).or_fail(what)
}
