//! The socket between a container's init and the parent: the plan one way, what became of it the other way.
//!
//! The init's end closes on exec, so the end of the stream says that the container's program runs.

use std::{
    ffi::CString,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use crate::{
    plan::Plan,
    wire::{Malformed, Wire, wire_struct},
};

/// The init's descriptor of its end.
pub(crate) const CONTROL_FD: i32 = 3;

wire_struct! {
    /// Why the container's program does not run.
    Failure {
        /// The exit status that docker gives for it: 125, 126 or 127.
        status: u8,
        errno: i32,
        what: CString,
    }
}

/// What the init says.
#[derive(Debug)]
pub(crate) enum Message {
    /// Here is a descriptor of the process that becomes the program, which is not the init itself.
    Program(OwnedFd),
    /// Here is the other end of the container's terminal.
    Terminal(OwnedFd),
    /// The root is about to be changed, and waits until the parent's hooks have run.
    Hooks,
    /// All is set up; the program comes next.
    Ready,
    Failed(Failure),
}

const PROGRAM: u8 = b'P';
const TERMINAL: u8 = b'T';
const READY: u8 = b'R';
const HOOKS: u8 = b'H';
const FAILED: u8 = b'F';
/// Bound of one message: the text of a failure with a path in it.
const MAX_MESSAGE: usize = 16 * 1024;

/// Sends the plan, length first.
pub(crate) fn send_plan(socket: BorrowedFd<'_>, plan: &Plan) -> io::Result<()> {
    let mut bytes = vec![0; 8];
    plan.put(&mut bytes);
    let length = (bytes.len() - 8) as u64;
    bytes[..8].copy_from_slice(&length.to_ne_bytes());
    send_all(socket, &bytes)
}

/// Receives the plan.
pub(crate) fn receive_plan(socket: BorrowedFd<'_>) -> io::Result<Plan> {
    let mut length = [0; 8];
    receive_exactly(socket, &mut length)?;
    let length = usize::try_from(u64::from_ne_bytes(length)).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut bytes = vec![0; length];
    receive_exactly(socket, &mut bytes)?;
    Plan::take(&mut bytes.as_slice()).map_err(|Malformed| io::ErrorKind::InvalidData.into())
}

/// Says that all is set up.
pub(crate) fn send_ready(socket: BorrowedFd<'_>) -> io::Result<()> {
    send_all(socket, &[READY])
}

/// Lets the parent run its hooks, and waits for it.
pub(crate) fn ask_for_hooks(socket: BorrowedFd<'_>) -> io::Result<()> {
    send_all(socket, &[HOOKS])?;
    receive_exactly(socket, &mut [0])
}

/// Says that they have run.
pub(crate) fn answer_hooks(socket: BorrowedFd<'_>) -> io::Result<()> {
    send_all(socket, &[HOOKS])
}

/// Says why the program does not run.
pub(crate) fn send_failure(socket: BorrowedFd<'_>, failure: &Failure) -> io::Result<()> {
    let mut bytes = vec![FAILED];
    failure.put(&mut bytes);
    bytes.truncate(MAX_MESSAGE);
    send_all(socket, &bytes)
}

/// Hands the parent a descriptor of the process that becomes the program.
pub(crate) fn send_program(socket: BorrowedFd<'_>, process: BorrowedFd<'_>) -> io::Result<()> {
    send_descriptor(socket, PROGRAM, process)
}

/// Hands the parent its end of the container's terminal.
pub(crate) fn send_terminal(socket: BorrowedFd<'_>, terminal: BorrowedFd<'_>) -> io::Result<()> {
    send_descriptor(socket, TERMINAL, terminal)
}

fn send_descriptor(socket: BorrowedFd<'_>, tag: u8, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(socket, &[IoSlice::new(&[tag])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message, `None` at the end.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut tag = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut tag)], &mut control, RecvFlags::CMSG_CLOEXEC)
    });
    match received {
        Ok(received) if received.bytes == 0 => return Ok(None),
        // An init that is killed with the plan unread resets the connection.
        Err(rustix::io::Errno::CONNRESET) => return Ok(None),
        other => other?,
    };
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match (tag[0], descriptor) {
        (HOOKS, None) => Ok(Some(Message::Hooks)),
        (READY, None) => Ok(Some(Message::Ready)),
        (PROGRAM, Some(program)) => Ok(Some(Message::Program(program))),
        (TERMINAL, Some(terminal)) => Ok(Some(Message::Terminal(terminal))),
        (FAILED, None) => {
            let bytes = receive_rest(socket)?;
            let failure = Failure::take(&mut bytes.as_slice()).map_err(|Malformed| io::ErrorKind::InvalidData)?;
            Ok(Some(Message::Failed(failure)))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Takes the one descriptor that somebody else sends.
pub(crate) fn receive_descriptor(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut name = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn receive_rest(socket: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut length = 0;
    while length < bytes.len() {
        match rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut bytes[length..]))? {
            0 => break,
            n => length += n,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

fn receive_exactly(socket: BorrowedFd<'_>, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut *bytes))?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[n..];
    }
    Ok(())
}
