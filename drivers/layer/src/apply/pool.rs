use std::{
    fs::File,
    io::Write,
    os::fd::AsFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::Scope,
};

use super::attributes::{Attributes, Setter, io};
use crate::{
    Error, Fault,
    error::EntryName,
    parallel::{self, Receiver, Sender},
};

/// Bodies up to this size are handed over whole.
pub(super) const SMALL: u64 = 512 * 1024;

/// Files that wait to be filled, in batches. Each is open, and with [`SMALL`] bodies they take 10 MiB at most.
const WAITING: usize = 4;
const BATCH: usize = 8;
/// A batch goes with the body that reaches this.
const BATCH_BYTES: usize = 256 * 1024;

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
    jobs: Receiver<Job>,
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

/// Hands over jobs; when it is dropped the threads finish.
#[derive(Debug)]
pub(super) struct Jobs<'a> {
    pool: &'a Pool,
    sender: Sender<Job>,
    /// Bytes of the batch that is being put together.
    bytes: usize,
}

impl Pool {
    pub fn new() -> (Self, Sender<Job>) {
        let (sender, jobs) = parallel::queue(WAITING, BATCH);
        let pool = Self { jobs, failed: AtomicBool::new(false), error: Mutex::new(None) };
        (pool, sender)
    }

    /// Starts the threads.
    pub fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        sender: Sender<Job>,
        setter: Setter<'scope>,
    ) -> Jobs<'scope> {
        for _ in 0..parallel::threads() {
            scope.spawn(move || self.work(setter));
        }
        Jobs { pool: self, sender, bytes: 0 }
    }

    fn work(&self, setter: Setter<'_>) {
        while let Some(batch) = self.jobs.next() {
            for job in batch {
                if self.failed.load(Ordering::Relaxed) {
                    break;
                }
                if let Err(why) = job.run(setter) {
                    let entry = EntryName(job.path);
                    self.fail(Error::Entry { entry, offset: job.offset, why });
                }
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
    pub fn submit(&mut self, job: Job) -> bool {
        self.bytes += job.body.len();
        let sent = !self.pool.failed.load(Ordering::Relaxed) && self.sender.send(job);
        if self.bytes < BATCH_BYTES {
            return sent;
        }
        self.bytes = 0;
        sent && self.sender.flush()
    }
}

impl Job {
    fn run(&self, setter: Setter<'_>) -> Result<(), Fault> {
        (&self.file).write_all(&self.body).map_err(io("write"))?;
        setter.open(self.file.as_fd(), &self.attributes, self.inherited, &self.path)
    }
}
