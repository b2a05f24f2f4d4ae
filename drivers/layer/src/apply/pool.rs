use std::{
    fs::File,
    io::Write,
    os::fd::AsFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::Scope,
};

use super::attributes::{Attributes, Setter, io};
use crate::{Error, Fault, error::EntryName, parallel};

/// Bodies up to this size are handed over whole.
pub(super) const SMALL: u64 = 512 * 1024;

/// Files that wait to be filled: with [`SMALL`] bodies at most 16 MiB.
const WAITING: usize = 32;

/// A file that exists and is still to be filled.
#[derive(Debug)]
pub(super) struct Job {
    pub file: File,
    pub body: Vec<u8>,
    pub attributes: Attributes,
    pub inherited: bool,
    /// For messages.
    pub path: Vec<u8>,
    pub offset: u64,
}

/// Threads that fill files with their content and set their attributes.
///
/// The names are made in order by the one thread that reads the tar. That alone decides what replaces what, what a
/// link points to and what a whiteout deletes; a file's content may come later, even after its name is gone.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: Mutex<Receiver<Job>>,
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

/// Hands over jobs; when it is dropped the threads finish.
#[derive(Debug)]
pub(super) struct Jobs<'a> {
    pool: &'a Pool,
    sender: SyncSender<Job>,
}

impl Pool {
    pub fn new() -> (Self, SyncSender<Job>) {
        let (sender, receiver) = sync_channel(WAITING);
        let pool = Self { jobs: Mutex::new(receiver), failed: AtomicBool::new(false), error: Mutex::new(None) };
        (pool, sender)
    }

    /// Starts the threads.
    pub fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        sender: SyncSender<Job>,
        setter: Setter<'scope>,
    ) -> Jobs<'scope> {
        for _ in 0..parallel::threads() {
            scope.spawn(move || self.work(setter));
        }
        Jobs { pool: self, sender }
    }

    fn work(&self, setter: Setter<'_>) {
        loop {
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            if self.failed.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(why) = job.run(setter) {
                let entry = EntryName(job.path);
                self.fail(Error::Entry { entry, offset: job.offset, why });
            }
        }
    }

    fn fail(&self, error: Error) {
        self.failed.store(true, Ordering::Relaxed);
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// What went wrong first; to be asked when all threads have finished.
    pub fn error(self) -> Option<Error> {
        self.error.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs<'_> {
    /// Waits while too many jobs do. False when an earlier one has failed.
    pub fn submit(&self, job: Job) -> bool {
        !self.pool.failed.load(Ordering::Relaxed) && self.sender.send(job).is_ok()
    }
}

impl Job {
    fn run(&self, setter: Setter<'_>) -> Result<(), Fault> {
        (&self.file).write_all(&self.body).map_err(io("write"))?;
        setter.open(self.file.as_fd(), &self.attributes, self.inherited, &self.path)
    }
}
