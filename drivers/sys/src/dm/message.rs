//! The one block of memory that goes to the kernel and comes back: a header, then what the command needs.
#![allow(unsafe_code)]

use std::{fs::File, io, os::fd::AsRawFd};

use rustix::ioctl::opcode;

/// Version of the interface that this is written against; the kernel refuses another major and a newer minor. 4.27 is
/// the first with deferred removal, and the newest thing used here (Linux 3.13).
const INTERFACE: [u32; 3] = [4, 27, 0];

/// Bytes of `struct dm_ioctl`, and where its fields are.
pub const HEADER: usize = 312;
const DATA_SIZE: usize = 12;
const DATA_START: usize = 16;
const TARGET_COUNT: usize = 20;
const OPEN_COUNT: usize = 24;
const FLAGS: usize = 28;
const EVENT: usize = 32;
const DEV: usize = 40;
const NAME: usize = 48;
const UUID: usize = 176;
const UUID_LIMIT: usize = 128;

/// A larger answer than any that the kernel has for us is no answer.
const LARGEST: usize = 64 << 20;

pub const READONLY: u32 = 1;
pub const SUSPEND: u32 = 1 << 1;
pub const STATUS_TABLE: u32 = 1 << 4;
pub const ACTIVE_PRESENT: u32 = 1 << 5;
pub const INACTIVE_PRESENT: u32 = 1 << 6;
pub const BUFFER_FULL: u32 = 1 << 8;
pub const SKIP_LOCKFS: u32 = 1 << 10;
pub const NOFLUSH: u32 = 1 << 11;
pub const DATA_OUT: u32 = 1 << 16;
pub const DEFERRED_REMOVE: u32 = 1 << 17;

/// Commands by their numbers (`DM_*_CMD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    Version = 0,
    ListDevices = 2,
    Create = 3,
    Remove = 4,
    Suspend = 6,
    Status = 7,
    Wait = 8,
    TableLoad = 9,
    TableClear = 10,
    TableStatus = 12,
    ListVersions = 13,
    TargetMessage = 14,
}

impl Command {
    /// `_IOWR(0xfd, number, struct dm_ioctl)`.
    pub const fn request(self) -> u32 {
        opcode::read_write::<[u8; HEADER]>(0xfd, self as u8)
    }
}

/// A command to be sent, or the kernel's answer.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub fn new(name: &str) -> io::Result<Self> {
        let mut message = Self { bytes: vec![0; HEADER] };
        for (index, number) in INTERFACE.into_iter().enumerate() {
            message.put_u32(index * 4, number);
        }
        message.put_text(NAME, super::NAME_LIMIT, name)?;
        Ok(message)
    }

    pub fn uuid(mut self, uuid: &str) -> io::Result<Self> {
        self.put_text(UUID, UUID_LIMIT, uuid)?;
        Ok(self)
    }

    pub fn with_flags(mut self, flags: u32) -> Self {
        self.put_u32(FLAGS, flags);
        self
    }

    /// What the kernel puts into the uevents of this command, or the event to wait for.
    pub fn with_event(mut self, event: u32) -> Self {
        self.put_u32(EVENT, event);
        self
    }

    pub fn with_data(mut self, data: &[u8], targets: u32) -> Self {
        self.bytes.extend_from_slice(data);
        self.put_u32(TARGET_COUNT, targets);
        self
    }

    /// Sends the command with room for the answer, and again with more room for as long as it was too little.
    pub fn send(self, control: &File, command: Command) -> io::Result<Self> {
        let mut room = 16 << 10;
        loop {
            let mut message = self.clone();
            message.bytes.resize(message.bytes.len() + room, 0);
            let size = u32::try_from(message.bytes.len()).map_err(io::Error::other)?;
            message.put_u32(DATA_SIZE, size);
            message.put_u32(DATA_START, HEADER as u32);
            message.exchange(control, command)?;
            if message.flags() & BUFFER_FULL == 0 {
                return Ok(message);
            }
            room *= 4;
            if room > LARGEST {
                return Err(malformed("it is larger than any answer can be"));
            }
        }
    }

    fn exchange(&mut self, control: &File, command: Command) -> io::Result<()> {
        loop {
            let request = command.request();
            // SAFETY: every command reads and writes at most `data_size` bytes from the pointer on, and that field was
            // just set to the length of the buffer, which lives and is borrowed mutably for the call.
            let code = unsafe { libc::ioctl(control.as_raw_fd(), request as _, self.bytes.as_mut_ptr()) };
            match io::Error::last_os_error() {
                _ if code >= 0 => return Ok(()),
                error if error.kind() == io::ErrorKind::Interrupted && command != Command::Wait => {}
                error => return Err(error),
            }
        }
    }

    pub fn version(&self) -> [u32; 3] {
        [self.u32(0), self.u32(4), self.u32(8)]
    }

    pub fn flags(&self) -> u32 {
        self.u32(FLAGS)
    }

    pub fn open_count(&self) -> i32 {
        self.u32(OPEN_COUNT).cast_signed()
    }

    pub fn event(&self) -> u32 {
        self.u32(EVENT)
    }

    pub fn targets(&self) -> u32 {
        self.u32(TARGET_COUNT)
    }

    /// As stat(2) has it: `huge_encode_dev` and the C library's `dev_t` agree for all numbers that a device gets.
    pub fn dev(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.bytes[DEV..DEV + 8]);
        u64::from_ne_bytes(bytes)
    }

    /// What follows the header.
    pub fn data(&self) -> io::Result<&[u8]> {
        let (start, size) = (self.u32(DATA_START) as usize, self.u32(DATA_SIZE) as usize);
        let end = size.min(self.bytes.len());
        self.bytes.get(start..end.max(start)).ok_or_else(|| malformed("its data lies outside it"))
    }

    fn u32(&self, at: usize) -> u32 {
        u32_at(&self.bytes, at).unwrap_or_default()
    }

    fn put_u32(&mut self, at: usize, number: u32) {
        self.bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }

    fn put_text(&mut self, at: usize, limit: usize, text: &str) -> io::Result<()> {
        if text.len() > limit || text.contains(['\0', '/']) {
            let why = format!("{text:?} cannot name a device: at most {limit} bytes, without slashes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        Ok(())
    }
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// The text up to its NUL.
pub fn text_at(bytes: &[u8], at: usize) -> Option<String> {
    let text = bytes.get(at..)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}

pub fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("device-mapper's answer makes no sense: {why}"))
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// `struct dm_ioctl`, as linux/dm-ioctl.h has it.
    #[repr(C)]
    struct DmIoctl {
        version: [u32; 3],
        data_size: u32,
        data_start: u32,
        target_count: u32,
        open_count: i32,
        flags: u32,
        event_nr: u32,
        padding: u32,
        dev: u64,
        name: [u8; 128],
        uuid: [u8; 129],
        data: [u8; 7],
    }

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(size_of::<DmIoctl>(), HEADER);
        let offsets = [
            (offset_of!(DmIoctl, data_size), DATA_SIZE),
            (offset_of!(DmIoctl, data_start), DATA_START),
            (offset_of!(DmIoctl, target_count), TARGET_COUNT),
            (offset_of!(DmIoctl, open_count), OPEN_COUNT),
            (offset_of!(DmIoctl, flags), FLAGS),
            (offset_of!(DmIoctl, event_nr), EVENT),
            (offset_of!(DmIoctl, dev), DEV),
            (offset_of!(DmIoctl, name), NAME),
            (offset_of!(DmIoctl, uuid), UUID),
        ];
        for (expected, ours) in offsets {
            assert_eq!(expected, ours);
        }
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
    fn the_ioctl_numbers_are_the_kernels() {
        let numbers = [
            (Command::Version, 0xc138_fd00_u32),
            (Command::ListDevices, 0xc138_fd02),
            (Command::Create, 0xc138_fd03),
            (Command::Remove, 0xc138_fd04),
            (Command::Suspend, 0xc138_fd06),
            (Command::Status, 0xc138_fd07),
            (Command::Wait, 0xc138_fd08),
            (Command::TableLoad, 0xc138_fd09),
            (Command::TableClear, 0xc138_fd0a),
            (Command::TableStatus, 0xc138_fd0c),
            (Command::ListVersions, 0xc138_fd0d),
            (Command::TargetMessage, 0xc138_fd0e),
        ];
        for (command, number) in numbers {
            assert_eq!(command.request(), number, "{command:?}");
        }
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        assert!(Message::new(&"n".repeat(127)).is_ok());
        for name in ["a/b", "a\0", &"n".repeat(128)] {
            assert!(Message::new(name).is_err(), "{name:?}");
        }
        assert!(Message::new("n").and_then(|message| message.uuid(&"u".repeat(129))).is_err());
    }

    #[test]
    fn data_outside_the_buffer_is_told() {
        let mut message = Message::new("n").unwrap();
        message.put_u32(DATA_START, 4096);
        message.put_u32(DATA_SIZE, 312);
        assert!(message.data().is_err());
    }
}
