use std::{cell::Cell, io, os::fd::OwnedFd};

use rustix::{
    io::{Errno, retry_on_intr},
    net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt},
};

use super::{Message, Reply, reply::split};

/// Larger than any message that the kernel puts into one read (NLMSG_GOODSIZE, and 32 KiB for dumps).
const READ: usize = 64 << 10;

/// Room for one batch. A rule takes less than 600 bytes, and a batch has to be sent whole.
const SEND_BUFFER: usize = 64 << 20;

/// A socket to one subsystem of the kernel, in the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

/// Why a batch was not carried out.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Which message, if it was not the batch as such.
    pub index: Option<usize>,
    pub source: io::Error,
}

impl Socket {
    /// To the subsystem `protocol`; rtnetlink is none, whose number is 0.
    pub fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        Ok(Self { socket, sequence: Cell::new(0) })
    }

    /// Has the kernel do something.
    pub fn request(&self, message: Message) -> io::Result<()> {
        let sequence = self.send(message.acknowledged())?;
        self.answers(sequence, |_| ()).map(drop)
    }

    /// Asks for one thing.
    pub fn get(&self, message: Message) -> io::Result<Option<Reply>> {
        let sequence = self.send(message.acknowledged())?;
        Ok(self.answers(sequence, |reply| reply)?.pop())
    }

    /// Asks for all there are of a kind. The message has `NLM_F_DUMP`.
    pub fn dump<T>(&self, message: Message, take: impl Fn(Reply) -> T) -> io::Result<Vec<T>> {
        let sequence = self.send(message)?;
        self.answers(sequence, take)
    }

    /// Has the kernel do all of `messages` between `begin` and `end`, or none.
    pub fn batch(&self, begin: Message, messages: Vec<Message>, end: Message) -> Result<(), Refused> {
        let whole = |source: io::Error| Refused { index: None, source };
        let first = self.sequence.get() + 1;
        let mut bytes = begin.numbered(self.next());
        let count = messages.len();
        for (index, message) in messages.into_iter().enumerate() {
            // Errors are always answered. One acknowledgement, of the last, says that there was none.
            let message = if index + 1 == count { message.acknowledged() } else { message };
            bytes.extend(message.numbered(self.next()));
        }
        let last = self.sequence.get();
        bytes.extend(end.numbered(self.next()));
        // What the limit is matters only to batches that it is too small for, and those say so themselves.
        _ = sockopt::set_socket_send_buffer_size_force(&self.socket, bytes.len().saturating_mul(2).min(SEND_BUFFER));
        self.send_all(&bytes).map_err(whole)?;
        loop {
            for reply in self.receive().map_err(whole)? {
                if i32::from(reply.kind) != libc::NLMSG_ERROR || !(first..=last).contains(&reply.sequence) {
                    continue;
                }
                match reply.errno() {
                    0 if reply.sequence == last => return Ok(()),
                    0 => {}
                    code => {
                        let index = (reply.sequence - first).checked_sub(1).map(|index| index as usize);
                        return Err(Refused { index, source: io::Error::from_raw_os_error(code) });
                    }
                }
            }
        }
    }

    fn next(&self) -> u32 {
        self.sequence.set(self.sequence.get() + 1);
        self.sequence.get()
    }

    fn send(&self, message: Message) -> io::Result<u32> {
        let sequence = self.next();
        self.send_all(&message.numbered(sequence))?;
        Ok(sequence)
    }

    fn send_all(&self, bytes: &[u8]) -> io::Result<()> {
        // A socket without a peer sends to the kernel (netlink(7)), and a datagram goes whole or not at all.
        retry_on_intr(|| send(&self.socket, bytes, SendFlags::empty()))?;
        Ok(())
    }

    fn receive(&self) -> io::Result<Vec<Reply>> {
        let mut buffer = vec![0; READ];
        let (length, full) = retry_on_intr(|| recv(&self.socket, &mut buffer, RecvFlags::TRUNC))?;
        if full > length {
            return Err(Errno::MSGSIZE.into());
        }
        split(&buffer[..length])
    }

    /// What comes until the kernel says that it was all.
    fn answers<T>(&self, sequence: u32, take: impl Fn(Reply) -> T) -> io::Result<Vec<T>> {
        let mut answers = Vec::new();
        loop {
            for reply in self.receive()? {
                let kind = i32::from(reply.kind);
                if reply.sequence != sequence || kind == libc::NLMSG_NOOP {
                    continue;
                }
                if kind != libc::NLMSG_ERROR && kind != libc::NLMSG_DONE {
                    answers.push(take(reply));
                    continue;
                }
                return match reply.errno() {
                    0 => Ok(answers),
                    code => Err(io::Error::from_raw_os_error(code)),
                };
            }
        }
    }
}
