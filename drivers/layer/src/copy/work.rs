use std::{
    collections::HashMap,
    ffi::OsStr,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::{
    fs::FileType,
    io::Errno,
    process::{getegid, geteuid},
};
use storage_driver::Skipped;

use super::{CopyOptions, CopyStats, Existing, entry};
use crate::{
    Error, Result,
    node::Inode,
    parallel::{self, Queue},
    source::join,
};

/// Files that wait to be copied, and files that one thread has before it. Each keeps its directory open, in both trees: with eight
/// threads and a directory for each file that is 256 descriptors.
const WAITING: usize = 64;
const BATCH: usize = 8;

/// More notes are not kept.
const MOST_NOTES: usize = 10_000;

/// The same directory in both trees, open.
#[derive(Debug)]
pub(super) struct Pair {
    pub from: Arc<OwnedFd>,
    pub to: OwnedFd,
    /// Relative to the roots.
    pub path: Vec<u8>,
    /// The roots, for messages.
    pub from_path: PathBuf,
    pub to_path: PathBuf,
    /// What is made in the target may get ACLs from it.
    pub inherits: bool,
}

impl Pair {
    pub fn source_name(&self, name: &[u8]) -> PathBuf {
        self.from_path.join(OsStr::from_bytes(&join(&self.path, name)))
    }

    pub fn target_name(&self, name: &[u8]) -> PathBuf {
        self.to_path.join(OsStr::from_bytes(&join(&self.path, name)))
    }
}

/// A further name for an inode, to be made when all inodes are there.
#[derive(Debug)]
pub(super) struct Link {
    pub first: Inode,
    pub path: Vec<u8>,
}

/// What all threads of a copy share.
#[derive(Debug)]
pub(super) struct Crew<'a> {
    pub options: &'a CopyOptions<'a>,
    pub existing: Existing,
    /// Who owns what this process makes.
    pub creator: (u32, u32),
    /// The names under which hard-linked inodes were copied.
    pub firsts: Mutex<HashMap<Inode, Vec<u8>>>,
    pub links: Mutex<Vec<Link>>,
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl<'a> Crew<'a> {
    pub fn new(options: &'a CopyOptions<'a>, existing: Existing) -> Self {
        Self {
            options,
            existing,
            creator: (geteuid().as_raw(), getegid().as_raw()),
            firsts: Mutex::default(),
            links: Mutex::default(),
            failed: AtomicBool::new(false),
            error: Mutex::default(),
        }
    }

    /// True for the first name of a hard-linked inode that is met; the others are noted for later.
    pub fn claim(&self, inode: Inode, path: Vec<u8>) -> bool {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        if let std::collections::hash_map::Entry::Vacant(vacant) = firsts.entry(inode) {
            vacant.insert(path);
            return true;
        }
        drop(firsts);
        self.links.lock().unwrap_or_else(PoisonError::into_inner).push(Link { first: inode, path });
        false
    }

    fn fail(&self, error: Error) {
        self.failed.store(true, Ordering::Relaxed);
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// One thread's own part.
#[derive(Debug)]
pub(super) struct Hand<'a> {
    pub crew: &'a Crew<'a>,
    pub stats: CopyStats,
    pub buffer: Vec<u8>,
}

impl<'a> Hand<'a> {
    pub fn new(crew: &'a Crew<'a>) -> Self {
        Self { crew, stats: CopyStats::default(), buffer: Vec::new() }
    }

    /// Whether an xattr that could not be set may be left out; notes it then.
    pub fn may_skip(&mut self, path: &[u8], xattr: &[u8], errno: Errno) -> bool {
        let privileged = xattr.starts_with(b"trusted.") || xattr.starts_with(b"security.");
        let refused = matches!(errno, Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP);
        let skip = self.crew.options.skip_privileged_xattrs && privileged && refused;
        if skip && self.stats.skipped.len() < MOST_NOTES {
            let path = PathBuf::from(OsStr::from_bytes(path));
            self.stats
                .skipped
                .push(Skipped { path, why: "a user namespace may not set its trusted or security xattrs" });
        }
        skip
    }

    pub fn finish(self) -> CopyStats {
        self.stats
    }
}

/// One thing to copy that is no directory.
pub(super) type Job = (Arc<Pair>, Vec<u8>, FileType);

/// Where the walker leaves what it finds; false when it may stop, since an earlier copy failed.
pub(super) type Submit<'s> = &'s mut dyn FnMut(Job) -> Result<bool>;

/// Runs `walk` in this thread while others copy what it submits.
pub(super) fn run(crew: &Crew<'_>, walk: impl FnOnce(Submit<'_>) -> Result<CopyStats>) -> Result<CopyStats> {
    let threads = crew.options.threads.unwrap_or_else(parallel::threads);
    if threads < 2 {
        let mut hand = Hand::new(crew);
        let mut stats =
            walk(&mut |(pair, name, kind)| entry::copy(&mut hand, &pair, &name, kind, &name).map(|()| true))?;
        stats.add(hand.finish());
        return Ok(stats);
    }
    let jobs = Queue::new(threads, WAITING, BATCH);
    let (walked, done) = thread::scope(|scope| {
        let hands: Vec<_> = (0..threads).map(|_| scope.spawn(|| serve(crew, &jobs))).collect();
        let mut sender = jobs.sender();
        let walked = walk(&mut |job| {
            let goes_on = !crew.has_failed();
            if goes_on {
                sender.send(job);
            }
            Ok(goes_on)
        });
        drop(sender);
        let mut done = CopyStats::default();
        for hand in hands {
            match hand.join() {
                Ok(stats) => done.add(stats),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (walked, done)
    });
    let failed = crew.error.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(error) = failed {
        return Err(error);
    }
    let mut stats = walked?;
    stats.add(done);
    stats.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(stats)
}

fn serve(crew: &Crew<'_>, jobs: &Queue<Job>) -> CopyStats {
    let mut hand = Hand::new(crew);
    loop {
        let batch = jobs.take();
        if batch.is_empty() {
            return hand.finish();
        }
        for (pair, name, kind) in batch {
            if crew.has_failed() {
                break;
            }
            if let Err(error) = entry::copy(&mut hand, &pair, &name, kind, &name) {
                crew.fail(error);
            }
        }
    }
}
