use std::{
    fs::{File, OpenOptions},
    path::Path,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, retry_on_intr},
};

use crate::{Error, Result};

/// A held flock(2); it goes with the open file, so also with the process, however that ends.
#[derive(Debug)]
struct Flock {
    _file: File,
}

impl Flock {
    /// `None` when the operation does not block and somebody else stands against it.
    fn take(path: &Path, operation: FlockOperation) -> Result<Option<Self>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io("open", path))?;
        match retry_on_intr(|| flock(&file, operation)) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(Error::io("lock", path)(error)),
        }
    }
}

/// The right to replace the index; held for the few milliseconds that takes.
///
/// It has a lease with it: whoever holds the exclusive one takes temporary files for those of dead writers, and
/// the index is replaced by way of one. The lease is taken first, as by all who write blobs and then name them.
#[derive(Debug)]
pub struct IndexLock {
    _flock: Option<Flock>,
    _lease: Lease,
}

impl IndexLock {
    pub fn take(root: &Path) -> Result<Self> {
        let lease = Lease::shared(root)?;
        Ok(Self { _flock: Flock::take(&root.join("lock"), FlockOperation::LockExclusive)?, _lease: lease })
    }
}

/// Keeps every blob of the store in place while it is held, named by an image or not.
///
/// Whoever writes blobs that an image will name later, or builds on an image that somebody may remove
/// meanwhile, holds one. Any number may be held at once, by any number of processes; a removal that meets one
/// leaves the blobs for a later [`Store::gc`](crate::Store::gc). A process that dies gives its leases back.
#[derive(Debug)]
#[must_use = "blobs can be removed as soon as this is dropped"]
pub struct Lease {
    _flock: Option<Flock>,
}

impl Lease {
    pub(crate) fn shared(root: &Path) -> Result<Self> {
        Ok(Self { _flock: Flock::take(&root.join("lease"), FlockOperation::LockShared)? })
    }

    /// The right to delete blobs; `None` while somebody holds a lease.
    pub(crate) fn exclusive(root: &Path) -> Result<Option<Self>> {
        let flock = Flock::take(&root.join("lease"), FlockOperation::NonBlockingLockExclusive)?;
        Ok(flock.map(|flock| Self { _flock: Some(flock) }))
    }
}
