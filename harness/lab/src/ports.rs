//! The guest's three ports: control, standard output, standard error. Each is one end of a socket pair whose other end QEMU holds.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    process::Command,
    sync::mpsc::Sender,
};

use rustix::io::FdFlags;

use crate::{Error, Result};

/// What the guest says on its control port.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The command is about to start.
    Ready,
    /// The guest's script gave up.
    Failed(String),
    /// The command ended.
    Status(u8),
    /// The machine is gone.
    Closed,
}

/// Names, by which the guest's scripts find the ports.
pub const CONTROL: &str = "control";
pub const OUT: &str = "out";
pub const ERR: &str = "err";

/// One port: our end, and the one that QEMU inherits.
#[derive(Debug)]
pub struct Port {
    pub ours: UnixStream,
    theirs: UnixStream,
}

impl Port {
    /// Adds the port to QEMU's arguments.
    pub fn add(command: &mut Command, name: &str) -> Result<Self> {
        let (ours, theirs) = UnixStream::pair().map_err(Error::io("make", "a socket pair"))?;
        rustix::io::fcntl_setfd(theirs.as_fd(), FdFlags::empty()).map_err(Error::io("pass on", "a socket"))?;
        let chardev = format!("socket,id={name},fd={}", theirs.as_raw_fd());
        let device = format!("virtserialport,chardev={name},name={name}");
        command.args(["-chardev", &chardev, "-device", &device].map(OsString::from));
        Ok(Self { ours, theirs })
    }

    /// Lets go of QEMU's end, once QEMU runs: our end then ends when QEMU does.
    pub fn close_theirs(self) -> UnixStream {
        drop(self.theirs);
        self.ours
    }
}

/// Reads the control port to its end.
pub fn listen(port: &UnixStream, events: &Sender<Event>) {
    for line in BufReader::new(port).lines() {
        let event = match line.as_deref().map(parse) {
            Ok(Some(event)) => event,
            // Nobody else writes there; a line that is none of ours says nothing.
            Ok(None) => continue,
            Err(_) => break,
        };
        if events.send(event).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Closed);
}

fn parse(line: &str) -> Option<Event> {
    match line.split_once(' ') {
        None if line == "ready" => Some(Event::Ready),
        Some(("failed", why)) => Some(Event::Failed(why.to_owned())),
        Some(("status", status)) => status.parse().ok().map(Event::Status),
        _ => None,
    }
}

/// Passes a port's bytes on as they come. A reader that went away (`| head -1`) does not hold the guest up.
pub fn relay(mut port: &UnixStream, to: &mut dyn Write) {
    let mut buffer = vec![0; 64 * 1024];
    let mut wanted = true;
    loop {
        match port.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) if wanted => wanted = to.write_all(&buffer[..read]).and_then(|()| to.flush()).is_ok(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Tells the guest to pass a signal on to the command.
pub fn signal(mut port: &UnixStream, name: &str) {
    // A guest that is gone has no command left to be told.
    let _ = port.write_all(format!("{name}\n").as_bytes());
}

/// Wakes whoever reads the port.
pub fn hang_up(port: &UnixStream) {
    let _ = port.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_understood() {
        assert_eq!(parse("ready"), Some(Event::Ready));
        assert_eq!(parse("status 130"), Some(Event::Status(130)));
        assert_eq!(parse("failed no root over 9p"), Some(Event::Failed("no root over 9p".to_owned())));
        for noise in ["", "status", "status x", "status 256", "Ready"] {
            assert_eq!(parse(noise), None, "{noise:?}");
        }
    }
}
