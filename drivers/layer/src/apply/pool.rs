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
    parallel::{self, Queue, Sender},
};

/// Bodies up to this size are handed over whole.
pub(super) const SMALL: u64 = 512 * 1024;

/// Files that wait to be filled, and files that one thread has before it: each is open, at most 48 with eight threads, and
/// with [`SMALL`] bodies they take 24 MiB. Whoever waits is woken for 256 KiB.
const WAITING: usize = 16;
const BATCH: usize = 4;
const WORTH_WAKING: usize = 256 * 1024;

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
    jobs: Queue<Job>,
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

/// Hands over jobs; when it is dropped the threads finish.
#[derive(Debug)]
pub(super) struct Jobs<'a> {
    pool: &'a Pool,
    sender: Sender<'a, Job>,
    /// Bytes that were handed over since somebody was woken for them.
    bytes: usize,
}

impl Pool {
    pub fn new() -> Self {
        let jobs = Queue::new(parallel::threads(), WAITING, BATCH);
        Self { jobs, failed: AtomicBool::new(false), error: Mutex::new(None) }
    }

    /// Starts the threads.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, setter: Setter<'scope>) -> Jobs<'scope> {
        for _ in 0..parallel::threads() {
            scope.spawn(move || self.work(setter));
        }
        Jobs { pool: self, sender: self.jobs.sender(), bytes: 0 }
    }

    fn work(&self, setter: Setter<'_>) {
        loop {
            let batch = self.jobs.take();
            if batch.is_empty() {
                return;
            }
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
        if self.pool.failed.load(Ordering::Relaxed) {
            return false;
        }
        self.bytes += job.body.len();
        self.sender.send(job);
        if self.bytes >= WORTH_WAKING {
            self.bytes = 0;
            self.sender.flush();
        }
        true
    }
}

impl Job {
    fn run(&self, setter: Setter<'_>) -> Result<(), Fault> {
        (&self.file).write_all(&self.body).map_err(io("write"))?;
        setter.open(self.file.as_fd(), &self.attributes, self.inherited, &self.path)
    }
}
