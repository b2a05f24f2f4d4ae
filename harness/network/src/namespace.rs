//! Work in another network namespace.

use std::{os::fd::BorrowedFd, panic, thread};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Error, Result};

/// Runs `work` in the network namespace `namespace`, by a thread that ends with it: the caller's thread stays where it is.
pub(crate) fn within<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("container-network".into()).spawn_scoped(scope, || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
                .map_err(Error::kernel("enter the container's network namespace"))?;
            work()
        });
        let worker = worker.map_err(Error::kernel("start a thread"))?;
        worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}
