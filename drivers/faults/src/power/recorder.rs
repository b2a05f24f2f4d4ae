//! A disk that remembers every write and every flush, in their order.
//!
//! It is a file of a FUSE file system whose one file is its root. A loop device on it makes a disk of it: what the
//! file system above writes comes as writes, and its flushes come as fsync(2). What dm-log-writes does in the kernel,
//! this does without a module, a virtual machine, or device-mapper.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, INodeNo, LockOwner, MountOption,
    OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyWrite, Request, Session, TimeOrNow, WriteFlags,
};
use storage_sys::{
    fork::{Child, fork},
    mount,
};

use super::log::Entry;
use crate::{Error, Result};

/// How long the kernel may believe an attribute; they do not change.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// The disk; unmounted when this is dropped.
#[derive(Debug)]
pub struct Recorder {
    device: PathBuf,
    server: Option<Child>,
}

impl Recorder {
    /// Shows `image` as the file `device`, and writes down in `log` what is done to it.
    pub fn start(image: &Path, log: &Path, device: &Path) -> Result<Self> {
        File::create_new(device).map_err(Error::io("create", device))?;
        let size = fs::metadata(image).map_err(Error::io("examine", image))?.len();
        let opened = OpenOptions::new().read(true).write(true).open(image);
        let recording = Recording {
            image: opened.map_err(Error::io("open", image))?,
            log: Mutex::new(File::create_new(log).map_err(Error::io("create", log))?),
            size,
        };
        let (mut ready, mut tell) = io::pipe().map_err(Error::io("make a pipe for", device))?;
        // In a process of its own: a disk must go on when whoever writes to it is stopped.
        let server = fork(move || {
            let mut config = Config::default();
            config.mount_options = vec![MountOption::FSName("faults".to_owned()), MountOption::NoAtime];
            let session = match Session::new(recording, device, &config) {
                Ok(session) => session,
                Err(error) => {
                    _ = tell.write_all(error.to_string().as_bytes());
                    return 1;
                }
            };
            drop(tell);
            i32::from(session.run().is_err())
        });
        let recorder = Self { device: device.to_owned(), server: Some(server.map_err(Error::io("fork for", device))?) };
        let mut said = String::new();
        ready.read_to_string(&mut said).map_err(Error::io("wait for", device))?;
        if !said.is_empty() {
            let why = io::Error::other(said);
            return Err(Error::io("mount a FUSE file system (is /dev/fuse there?) on", device)(why));
        }
        // The kernel mounts the root without asking for its attributes, and loop devices of older kernels (6.12 still) take the
        // size that it knows, which is 0 until somebody has asked.
        fs::metadata(device).map_err(Error::io("examine", device))?;
        Ok(recorder)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        _ = mount::detach(&self.device);
        if let Some(Err(error)) = self.server.take().map(Child::kill) {
            tracing::warn!(%error, "the process of a recorded disk stays");
        }
    }
}

struct Recording {
    image: File,
    log: Mutex<File>,
    size: u64,
}

impl Recording {
    fn attributes(&self) -> FileAttr {
        FileAttr {
            ino: INodeNo::ROOT,
            size: self.size,
            blocks: self.size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: FileType::RegularFile,
            perm: 0o600,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// First the log: what is in the image is in the log.
    fn note(&self, entry: &Entry, data: &[u8]) -> io::Result<()> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.write_all(&entry.to_bytes())?;
        log.write_all(data)
    }

    fn save(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(&Entry::Write { offset, length: data.len() as u64 }, data)?;
        self.image.write_all_at(data, offset)
    }
}

impl Filesystem for Recording {
    fn getattr(&self, _: &Request, _: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &self.attributes());
    }

    fn setattr(
        &self,
        _: &Request,
        _: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<std::time::SystemTime>,
        _chgtime: Option<std::time::SystemTime>,
        _bkuptime: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.attr(&FOR_EVER, &self.attributes());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut data = vec![0; (size as u64).min(self.size.saturating_sub(offset)) as usize];
        match self.image.read_exact_at(&mut data, offset) {
            Ok(()) => reply.data(&data),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.save(offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        match self.note(&Entry::Flush, &[]) {
            Ok(()) => reply.ok(),
            Err(_) => reply.error(Errno::EIO),
        }
    }
}
