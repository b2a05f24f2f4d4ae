use std::{
    fs::{File, OpenOptions},
    io,
};

use super::{
    CONTROL, QUIET,
    message::{self, Command, Message, malformed, text_at, u32_at, u64_at},
};

/// Bytes of `struct dm_target_spec`, and of the name of the type in it.
const SPEC: usize = 40;
const TYPE_AT: usize = 24;
const TYPE_LIMIT: usize = 15;
/// Where the name is in `struct dm_name_list` and in `struct dm_target_versions`.
const LISTED_NAME: usize = 12;
const VERSIONED_NAME: usize = 16;

/// A version of the interface or of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One line of a table that is to be loaded; lengths in sectors of 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it starts in the device.
    pub start: u64,
    /// How long it is.
    pub length: u64,
    /// Such as `thin-pool`.
    pub kind: &'static str,
    /// What the target is told.
    pub parameters: String,
}

impl Target {
    /// A target that is the whole device.
    #[must_use]
    pub const fn whole(length: u64, kind: &'static str, parameters: String) -> Self {
        Self { start: 0, length, kind, parameters }
    }
}

/// One line of a table, or of its status, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// Where it starts in the device, in sectors.
    pub start: u64,
    /// How long it is, in sectors.
    pub length: u64,
    /// Such as `thin-pool`.
    pub kind: String,
    /// What the target says.
    pub text: String,
}

/// What is known of a device without asking its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its number, as in `st_rdev`.
    pub dev: u64,
    /// How often it is open or mounted.
    pub open_count: i32,
    /// Counts what happened to its targets.
    pub event: u32,
    /// Nothing gets through.
    pub suspended: bool,
    /// It refuses writes.
    pub read_only: bool,
    /// It has a table.
    pub active_table: bool,
    /// It has a table that waits for a resume.
    pub inactive_table: bool,
    /// It goes with its last user.
    pub deferred_remove: bool,
}

/// How a device is to be suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspend {
    /// The file system on it is frozen first, and everything under way is waited for.
    Freeze,
    /// Everything under way is waited for; no file system is frozen, because none is there that writes.
    Flush,
}

/// The way to the driver in the kernel.
#[derive(Debug)]
pub struct Control {
    file: File,
}

impl Control {
    /// Opens the control node.
    ///
    /// # Errors
    /// `ENOENT`, `ENODEV` or `ENXIO` where the kernel has no device-mapper, `EACCES` or `EPERM` without root.
    pub fn open() -> io::Result<Self> {
        super::node::ensure_control()?;
        let file = OpenOptions::new().read(true).write(true).open(CONTROL)?;
        let control = Self { file };
        control.version()?;
        Ok(control)
    }

    /// The kernel's version of the interface.
    ///
    /// # Errors
    /// `EINVAL` when it is older than 4.27 or not of the fourth major version.
    pub fn version(&self) -> io::Result<Version> {
        let [major, minor, patch] = Message::new("")?.send(&self.file, Command::Version)?.version();
        Ok(Version(major, minor, patch))
    }

    /// Target types that are loaded now, with their versions.
    ///
    /// # Errors
    /// The ioctl's.
    pub fn targets(&self) -> io::Result<Vec<(String, Version)>> {
        let answer = Message::new("")?.send(&self.file, Command::ListVersions)?;
        parse_versions(answer.data()?)
    }

    /// All devices, by name, with their numbers.
    ///
    /// # Errors
    /// The ioctl's.
    pub fn devices(&self) -> io::Result<Vec<(String, u64)>> {
        let answer = Message::new("")?.send(&self.file, Command::ListDevices)?;
        parse_names(answer.data()?)
    }

    /// Makes a device without a table.
    ///
    /// # Errors
    /// `EBUSY` when the name or the uuid is taken.
    pub fn create(&self, name: &str, uuid: &str) -> io::Result<Device> {
        self.device(Message::new(name)?.uuid(uuid)?, Command::Create)
    }

    /// Removes a device that nobody uses.
    ///
    /// # Errors
    /// `EBUSY` while it is open, `ENXIO` when it is not there.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.device(Message::new(name)?.with_event(QUIET), Command::Remove).map(|_| ())
    }

    /// Removes a device now, or with its last user.
    ///
    /// # Errors
    /// `ENXIO` when it is not there.
    pub fn remove_deferred(&self, name: &str) -> io::Result<()> {
        let message = Message::new(name)?.with_event(QUIET).with_flags(message::DEFERRED_REMOVE);
        self.device(message, Command::Remove).map(|_| ())
    }

    /// Takes a deferred removal back.
    ///
    /// # Errors
    /// `ENXIO` when the device is gone already.
    pub fn keep(&self, name: &str) -> io::Result<()> {
        self.message(name, "@cancel_deferred_remove").map(|_| ())
    }

    /// What is known of a device; `None` when it is not there.
    ///
    /// # Errors
    /// The ioctl's.
    pub fn find(&self, name: &str) -> io::Result<Option<Device>> {
        match self.device(Message::new(name)?, Command::Status) {
            Ok(device) => Ok(Some(device)),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until something happens to the device that is newer than the event counted `event`.
    ///
    /// # Errors
    /// `EINTR` when a signal came first.
    pub fn wait(&self, name: &str, event: u32) -> io::Result<Device> {
        self.device(Message::new(name)?.with_event(event), Command::Wait)
    }

    /// Loads a table that the next [`resume`](Self::resume) puts to work.
    ///
    /// # Errors
    /// `EINVAL` when a target refuses its parameters; the kernel's log says why.
    pub fn load(&self, name: &str, table: &[Target], read_only: bool) -> io::Result<()> {
        let flags = if read_only { message::READONLY } else { 0 };
        let count = u32::try_from(table.len()).map_err(io::Error::other)?;
        let message = Message::new(name)?.with_flags(flags).with_data(&encode(table)?, count);
        message.send(&self.file, Command::TableLoad).map(|_| ())
    }

    /// Throws a table away that was loaded and not put to work.
    ///
    /// # Errors
    /// The ioctl's.
    pub fn clear(&self, name: &str) -> io::Result<()> {
        self.device(Message::new(name)?, Command::TableClear).map(|_| ())
    }

    /// Holds back what is written and read until [`resume`](Self::resume).
    ///
    /// # Errors
    /// The ioctl's.
    pub fn suspend(&self, name: &str, how: Suspend) -> io::Result<()> {
        let lock = if how == Suspend::Flush { message::SKIP_LOCKFS } else { 0 };
        let message = Message::new(name)?.with_event(QUIET).with_flags(message::SUSPEND | lock);
        self.device(message, Command::Suspend).map(|_| ())
    }

    /// Puts a loaded table to work, and lets everything through.
    ///
    /// # Errors
    /// The ioctl's.
    pub fn resume(&self, name: &str) -> io::Result<Device> {
        self.device(Message::new(name)?.with_event(QUIET), Command::Suspend)
    }

    /// The table that is at work.
    ///
    /// # Errors
    /// `ENXIO` when the device is not there.
    pub fn table(&self, name: &str) -> io::Result<Vec<TargetStatus>> {
        self.target_status(name, message::STATUS_TABLE)
    }

    /// What the targets say. A thin pool first makes what it knows durable, unless `at_once`.
    ///
    /// # Errors
    /// `ENXIO` when the device is not there.
    pub fn status(&self, name: &str, at_once: bool) -> io::Result<Vec<TargetStatus>> {
        self.target_status(name, if at_once { message::NOFLUSH } else { 0 })
    }

    fn target_status(&self, name: &str, flags: u32) -> io::Result<Vec<TargetStatus>> {
        let answer = Message::new(name)?.with_flags(flags).send(&self.file, Command::TableStatus)?;
        decode(answer.data()?, answer.targets())
    }

    /// Tells the target at the start of a device something; the answer is what it has to say to that.
    ///
    /// # Errors
    /// The target's.
    pub fn message(&self, name: &str, text: &str) -> io::Result<Option<String>> {
        if text.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message with a NUL in it"));
        }
        let mut data = vec![0; 8];
        data.extend_from_slice(text.as_bytes());
        data.push(0);
        let answer = Message::new(name)?.with_data(&data, 0).send(&self.file, Command::TargetMessage)?;
        let said = answer.flags() & message::DATA_OUT != 0;
        Ok(if said { text_at(answer.data()?, 0) } else { None })
    }

    fn device(&self, message: Message, command: Command) -> io::Result<Device> {
        let answer = message.send(&self.file, command)?;
        let has = |flag| answer.flags() & flag != 0;
        Ok(Device {
            dev: answer.dev(),
            open_count: answer.open_count(),
            event: answer.event(),
            suspended: has(message::SUSPEND),
            read_only: has(message::READONLY),
            active_table: has(message::ACTIVE_PRESENT),
            inactive_table: has(message::INACTIVE_PRESENT),
            deferred_remove: has(message::DEFERRED_REMOVE),
        })
    }
}

fn encode(table: &[Target]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for target in table {
        if target.kind.len() > TYPE_LIMIT || target.parameters.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no kernel takes the target {target:?}")));
        }
        // The next one starts aligned to 8 bytes, and the parameters end with a NUL.
        let size = (SPEC + target.parameters.len() + 1).next_multiple_of(8);
        let mut spec = vec![0; size];
        spec[..8].copy_from_slice(&target.start.to_ne_bytes());
        spec[8..16].copy_from_slice(&target.length.to_ne_bytes());
        spec[20..24].copy_from_slice(&u32::try_from(size).map_err(io::Error::other)?.to_ne_bytes());
        spec[TYPE_AT..TYPE_AT + target.kind.len()].copy_from_slice(target.kind.as_bytes());
        spec[SPEC..SPEC + target.parameters.len()].copy_from_slice(target.parameters.as_bytes());
        bytes.extend(spec);
    }
    Ok(bytes)
}

/// Here `next` counts from the first target, and not from each.
fn decode(data: &[u8], count: u32) -> io::Result<Vec<TargetStatus>> {
    let mut found = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let spec = data.get(at..).filter(|spec| spec.len() > SPEC);
        let read = spec.and_then(|spec| {
            let target = TargetStatus {
                start: u64_at(spec, 0)?,
                length: u64_at(spec, 8)?,
                kind: text_at(&spec[TYPE_AT..SPEC], 0)?,
                text: text_at(spec, SPEC)?.trim_end().to_owned(),
            };
            Some((target, u32_at(spec, 20)? as usize))
        });
        let (target, next) = read.ok_or_else(|| malformed("a target is cut off"))?;
        found.push(target);
        if next <= at && found.len() < count as usize {
            return Err(malformed("its targets go in a circle"));
        }
        at = next;
    }
    Ok(found)
}

/// `next` counts from each entry; zero ends the list. An empty list is nothing, or an entry with device number zero.
fn parse_names(data: &[u8]) -> io::Result<Vec<(String, u64)>> {
    if data.len() <= size_of::<u64>() {
        return Ok(vec![]);
    }
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let read = data.get(at..).and_then(|entry| Some((u64_at(entry, 0)?, u32_at(entry, 8)?)));
        let (dev, next) = read.ok_or_else(|| malformed("a name is cut off"))?;
        if dev == 0 {
            return Ok(found);
        }
        let name = text_at(data, at + LISTED_NAME).ok_or_else(|| malformed("a name does not end"))?;
        found.push((name, dev));
        if next == 0 {
            return Ok(found);
        }
        at += next as usize;
    }
}

fn parse_versions(data: &[u8]) -> io::Result<Vec<(String, Version)>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let read = data.get(at..).and_then(|entry| {
            let version = Version(u32_at(entry, 4)?, u32_at(entry, 8)?, u32_at(entry, 12)?);
            Some((u32_at(entry, 0)?, version, text_at(entry, VERSIONED_NAME)?))
        });
        let (next, version, name) = read.ok_or_else(|| malformed("a target type is cut off"))?;
        if !name.is_empty() {
            found.push((name, version));
        }
        if next == 0 {
            return Ok(found);
        }
        at += next as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_laid_out_as_the_kernel_reads_them() {
        let table = [
            Target { start: 0, length: 8, kind: "linear", parameters: "7:0 0".to_owned() },
            Target { start: 8, length: 16, kind: "thin", parameters: "253:0 12".to_owned() },
        ];
        let bytes = encode(&table).unwrap();
        assert_eq!(bytes.len(), 48 + 56);
        assert_eq!(u32_at(&bytes, 20), Some(48));
        assert_eq!(u64_at(&bytes, 48 + 8), Some(16));
        assert_eq!(text_at(&bytes, 48 + TYPE_AT).as_deref(), Some("thin"));
        assert_eq!(text_at(&bytes, 48 + SPEC).as_deref(), Some("253:0 12"));
        let wrong = Target::whole(1, "a-type-that-is-too-long", String::new());
        assert!(encode(&[wrong]).is_err());
    }

    #[test]
    fn answers_that_are_cut_off_are_told() {
        let mut bytes = encode(&[Target::whole(8, "linear", "7:0 0".to_owned())]).unwrap();
        assert_eq!(decode(&bytes, 1).unwrap()[0].text, "7:0 0");
        assert!(decode(&bytes, 2).is_err());
        assert!(decode(&bytes[..SPEC], 1).is_err());
        bytes.truncate(bytes.len() - 4);
        let end = bytes.len();
        bytes[SPEC..end].fill(b'x');
        assert!(decode(&bytes, 1).is_err());
        bytes[20..24].fill(0);
        assert!(decode(&[bytes.clone(), bytes].concat(), 2).is_err());
    }

    #[test]
    fn lists_are_read_to_their_end() {
        let mut bytes = vec![0; 64];
        assert_eq!(parse_names(&bytes).unwrap(), []);
        assert_eq!(parse_names(&[]).unwrap(), []);
        bytes[..8].copy_from_slice(&0xfd01_u64.to_ne_bytes());
        bytes[8..12].copy_from_slice(&24_u32.to_ne_bytes());
        bytes[12..15].copy_from_slice(b"one");
        bytes[24..32].copy_from_slice(&0xfd02_u64.to_ne_bytes());
        bytes[36..39].copy_from_slice(b"two");
        assert_eq!(parse_names(&bytes).unwrap(), [("one".to_owned(), 0xfd01), ("two".to_owned(), 0xfd02)]);
        assert!(parse_names(&bytes[..20]).is_err());
        bytes[8..12].copy_from_slice(&4096_u32.to_ne_bytes());
        assert!(parse_names(&bytes).is_err());
        let mut versions = vec![0; 32];
        versions[4] = 1;
        versions[8] = 22;
        versions[16..25].copy_from_slice(b"thin-pool");
        assert_eq!(parse_versions(&versions).unwrap(), [("thin-pool".to_owned(), Version(1, 22, 0))]);
        assert!(parse_versions(&versions[..20]).is_err());
    }
}
