use std::{
    fs::File,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    panic,
    path::PathBuf,
    thread,
};

use nix::sched::{CloneFlags, unshare};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Error, Result, link::Links};

/// Of the loopback interface, in every network namespace.
const LOOPBACK: u32 = 1;

/// A network namespace that belongs to no process: it is there as long as this is, or as long as a process is in it.
#[derive(Debug)]
pub struct Namespace {
    descriptor: File,
}

impl Namespace {
    /// A new one, with its loopback interface up and no other.
    ///
    /// # Errors
    /// [`Error::Privilege`], and what the kernel refuses.
    pub fn new() -> Result<Self> {
        let descriptor = in_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(Error::kernel("make a network namespace"))?;
            Links::open()?.set_up(LOOPBACK)?;
            let path = "/proc/thread-self/ns/net";
            File::open(path).map_err(Error::file("open", path))
        })?;
        Ok(Self { descriptor })
    }

    /// Where this process, and no other, finds it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.descriptor.as_raw_fd()).into()
    }

    /// A number that no other namespace of the machine has while this one is there.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn number(&self) -> Result<u64> {
        Ok(self.descriptor.metadata().map_err(Error::file("examine", self.path()))?.ino())
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Runs `work` in the network namespace `namespace`.
pub(crate) fn within<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    in_a_thread(|| {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
            .map_err(Error::kernel("enter the container's network namespace"))?;
        work()
    })
}

/// Runs `work` by a thread that ends with it: the caller's thread stays where it is.
fn in_a_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("container-network".into()).spawn_scoped(scope, work);
        let worker = worker.map_err(Error::kernel("start a thread"))?;
        worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}
