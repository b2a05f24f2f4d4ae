//! User namespaces: a process in a new one waits until its ids are mapped.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, WaitOptions, waitpid},
};

use super::spawn::{SignalsBlocked, Spawned, clone_copying};
use crate::plan::{IdRange, Mapping};

/// The mappings as the kernel reads them.
#[derive(Debug, Clone)]
pub(crate) struct Maps {
    uids: String,
    gids: String,
}

impl From<&Mapping> for Maps {
    fn from(mapping: &Mapping) -> Self {
        let lines = |ranges: &[IdRange]| {
            let line = |range: &IdRange| format!("{} {} {}\n", range.inside, range.outside, range.count);
            ranges.iter().map(line).collect()
        };
        Self { uids: lines(&mapping.uids), gids: lines(&mapping.gids) }
    }
}

impl Maps {
    /// Gives the user namespace of a process its ids, which can be done once.
    fn write(&self, pid: Pid) -> io::Result<()> {
        for (file, map) in [("uid_map", &self.uids), ("gid_map", &self.gids)] {
            let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
            fs::write(&path, map).map_err(|error| {
                let why = format!("cannot map the ids {:?} ({file}): {error}", map.trim_end());
                io::Error::new(error.kind(), why)
            })?;
        }
        Ok(())
    }
}

/// What holds a child up until its ids are mapped.
pub(super) struct Gate {
    read: OwnedFd,
    write: OwnedFd,
}

impl Gate {
    /// With descriptors that are not below `above`.
    pub(super) fn new(above: RawFd) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let moved = |fd: OwnedFd| rustix::io::fcntl_dupfd_cloexec(&fd, above);
        Ok(Self { read: moved(read)?, write: moved(write)? })
    }

    /// The child's part of it: which descriptor it reads, and which it closes first.
    pub(super) fn ends(&self) -> [RawFd; 2] {
        [self.read.as_raw_fd(), self.write.as_raw_fd()]
    }

    /// Maps the child's ids and lets it go on; it is ended and waited for if that fails.
    pub(super) fn open(self, spawned: Spawned, maps: &Maps) -> io::Result<Spawned> {
        let opened = maps.write(spawned.pid).and_then(|()| Ok(rustix::io::write(&self.write, b"1")?));
        drop(self);
        match opened {
            Ok(_) => Ok(spawned),
            Err(error) => {
                // It reads the end of the pipe, and exits.
                let _ = waitpid(Some(spawned.pid), WaitOptions::empty());
                Err(error)
            }
        }
    }
}

/// In the child: waits, with async-signal-safe calls only; whether it may go on.
pub(super) fn wait_at([read, write]: [RawFd; 2]) -> bool {
    let mut byte = 0_u8;
    // SAFETY: close(2) of a descriptor of this child's own table, which nothing in the child owns as a value.
    unsafe { libc::close(write) };
    loop {
        // SAFETY: read(2) of one byte to a live variable.
        let got = unsafe { libc::read(read, (&raw mut byte).cast(), 1) };
        // SAFETY: errno's location is always valid.
        let interrupted = got < 0 && unsafe { *libc::__errno_location() } == libc::EINTR;
        if !interrupted {
            return got == 1;
        }
    }
}

/// In the child: becomes user and group 0 of its user namespace, without which executing takes its capabilities away
/// (user_namespaces(7)). The C library's functions would tell threads that are not in this process.
pub(super) fn become_root() -> bool {
    // SAFETY: these system calls take numbers only; a null pointer with no groups is allowed.
    unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) == 0
            && libc::syscall(libc::SYS_setresgid, 0, 0, 0) == 0
            && libc::syscall(libc::SYS_setresuid, 0, 0, 0) == 0
    }
}

/// A user namespace with these ids, in which no process is: for mounts (mount_setattr(2)).
pub(crate) fn namespace(maps: &Maps) -> io::Result<OwnedFd> {
    let gate = Gate::new(0)?;
    let mut ends = gate.ends();
    // Handlers of this program have nothing to do in the child.
    let blocked = SignalsBlocked::new()?;
    let child = clone_copying(libc::CLONE_NEWUSER, None, wait_and_exit, (&raw mut ends).cast())?;
    drop(blocked);
    let mapped = maps.write(child.pid);
    let opened = mapped.and_then(|()| fs::File::open(format!("/proc/{}/ns/user", child.pid.as_raw_nonzero())));
    drop(gate);
    let _ = waitpid(Some(child.pid), WaitOptions::empty());
    Ok(opened?.into())
}

extern "C" fn wait_and_exit(ends: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the pointer is that of `namespace` to its array, of which this process has a copy.
    let ends = unsafe { *ends.cast::<[RawFd; 2]>() };
    wait_at(ends);
    // SAFETY: _exit(2) ends the child without running handlers of the parent.
    unsafe { libc::_exit(0) }
}
