//! Who creates containers: a thread that lives as long as the process.
//!
//! A container asks the kernel to be killed with its parent, and the kernel takes the *thread* that created it for the
//! parent (PR_SET_PDEATHSIG(2const)). Worker threads come and go, so unless the caller is the main thread, creation is
//! handed to one that stays.

use std::{
    io,
    os::fd::BorrowedFd,
    sync::{
        OnceLock,
        mpsc::{self, Sender},
    },
    thread,
};

use rustix::fd::{AsFd, OwnedFd};

use crate::exec::{self, Maps, Program, Spawned, Surroundings};

struct Request {
    program: &'static Program,
    descriptors: Vec<OwnedFd>,
    namespaces: i32,
    pid: Option<OwnedFd>,
    cgroup: Option<OwnedFd>,
    maps: Option<Maps>,
    answer: Sender<io::Result<Spawned>>,
}

/// As [`exec::spawn`], from a thread that lives as long as the process.
pub(crate) fn spawn(
    program: &'static Program,
    descriptors: &[BorrowedFd<'_>],
    surroundings: &Surroundings<'_>,
) -> io::Result<Spawned> {
    if rustix::thread::gettid() == rustix::process::getpid() {
        return exec::spawn(program, descriptors, surroundings);
    }
    let (answer, answered) = mpsc::channel();
    let own = |fd: &BorrowedFd<'_>| fd.try_clone_to_owned();
    let &Surroundings { namespaces, pid, cgroup, maps } = surroundings;
    let descriptors = descriptors.iter().map(own).collect::<io::Result<_>>()?;
    let (pid, cgroup) = (pid.as_ref().map(own).transpose()?, cgroup.as_ref().map(own).transpose()?);
    let request = Request { program, descriptors, namespaces, pid, cgroup, maps: maps.cloned(), answer };
    keeper()?.send(request).map_err(|_| io::ErrorKind::BrokenPipe)?;
    answered.recv().map_err(|_| io::ErrorKind::BrokenPipe)?
}

fn keeper() -> io::Result<&'static Sender<Request>> {
    static KEEPER: OnceLock<Sender<Request>> = OnceLock::new();
    if let Some(keeper) = KEEPER.get() {
        return Ok(keeper);
    }
    let (sender, requests) = mpsc::channel::<Request>();
    // If two callers race, the loser's thread ends with its sender.
    thread::Builder::new().name("container-keeper".into()).spawn(move || {
        for request in requests {
            let Request { program, descriptors, namespaces, pid, cgroup, maps, answer } = request;
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            let spawned = {
                let (pid, cgroup) = (pid.as_ref().map(AsFd::as_fd), cgroup.as_ref().map(AsFd::as_fd));
                exec::spawn(program, &borrowed, &Surroundings { namespaces, pid, cgroup, maps: maps.as_ref() })
            };
            // The inherited ends of pipes must be closed here before the caller waits for their end.
            drop(descriptors);
            let _ = answer.send(spawned);
        }
    })?;
    Ok(KEEPER.get_or_init(|| sender))
}
