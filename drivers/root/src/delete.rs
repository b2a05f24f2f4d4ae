//! Deleting directories.
//!
//! Deleting a file is mostly waiting: for locks of the journal, and where the file system is mounted with `discard`, for the device,
//! once a file. So a directory with more than a few names in it is deleted by several threads, however few the processors. One
//! with few names is deleted by the caller alone, always in the same order.
//!
//! Everything is opened by descriptors and without following links: what is deleted may be what a container left.

use std::{
    ffi::{CStr, CString, OsStr},
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, RenameFlags, openat, renameat_with, statat, unlinkat},
    io::Errno,
};
use storage_driver::{Error, Result};

/// With at most so many names there is one thread.
const FEW: usize = 64;
/// Files that a thread deletes before it looks for work again.
const PORTION: usize = 32;
/// So many portions wait to be deleted, at most: a megabyte or two.
const WAITING: usize = 600;
/// Measured on ext4 with two processors: without `discard` more of them only get in each other's way, with it eight are a tenth faster.
const THREADS: usize = 4;
/// Directories this far down are moved up first: each one above them is open, and a process may have a thousand files open, while
/// a container may make directories as deep as it likes.
const DEEP: usize = 48;

/// Deletes a directory and all below it; nothing there is fine. What can be deleted is, also when something else cannot.
///
/// # Errors
/// What the file system said first, with the path.
pub fn delete_tree(path: &Path) -> Result<()> {
    let remove = |flags| match unlinkat(CWD, path, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::io("remove", path)(error)),
    };
    let top = match open(CWD, path) {
        Ok(fd) => Arc::new(Directory::new(fd, CString::default(), None)),
        Err(Errno::NOENT) => return Ok(()),
        // A link, or a file.
        Err(Errno::NOTDIR | Errno::LOOP) => return remove(AtFlags::empty()),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let deletion = Deletion { top: top.clone(), queue: Mutex::default(), changed: Condvar::new() };
    deletion.list(top);
    deletion.run();
    match deletion.queue.into_inner().unwrap_or_else(PoisonError::into_inner).failed {
        None => remove(AtFlags::REMOVEDIR),
        Some((what, below, error)) => Err(Error::io(what, path.join(below))(error)),
    }
}

/// One directory that is being emptied.
struct Directory {
    fd: OwnedFd,
    name: CString,
    /// `None` for the topmost one.
    parent: Option<Arc<Directory>>,
    depth: usize,
    /// What has to be done before it is empty: portions of its files, directories in it, and listing it.
    left: AtomicUsize,
}

impl Directory {
    fn new(fd: OwnedFd, name: CString, parent: Option<Arc<Self>>) -> Self {
        let depth = parent.as_ref().map_or(0, |parent| parent.depth + 1);
        Self { fd, name, parent, depth, left: AtomicUsize::new(1) }
    }

    /// Where it is, from the topmost one.
    fn path(&self) -> PathBuf {
        let above = self.parent.as_ref().map_or_else(PathBuf::new, |parent| parent.path());
        above.join(OsStr::from_bytes(self.name.to_bytes()))
    }
}

/// Something to do.
enum Work {
    /// Find out what is in a directory, which is in this one.
    List(Arc<Directory>, CString),
    /// Delete files.
    Unlink(Arc<Directory>, Vec<CString>),
}

#[derive(Default)]
struct Queue {
    lists: Vec<(Arc<Directory>, CString)>,
    unlinks: Vec<(Arc<Directory>, Vec<CString>)>,
    /// Names found so far.
    names: usize,
    /// Threads at work, which may find more of it.
    busy: usize,
    /// What could not be done first, to what, and why.
    failed: Option<(&'static str, PathBuf, io::Error)>,
}

impl Queue {
    /// Files first, so that directories are closed soon; while the caller is alone it first finds out how much there is.
    fn take(&mut self, alone: bool) -> Option<Work> {
        let list = |queue: &mut Self| queue.lists.pop().map(|(parent, name)| Work::List(parent, name));
        let unlink = |queue: &mut Self| queue.unlinks.pop().map(|(dir, names)| Work::Unlink(dir, names));
        if alone { list(self).or_else(|| unlink(self)) } else { unlink(self).or_else(|| list(self)) }
    }
}

/// A directory being deleted with all below it.
struct Deletion {
    top: Arc<Directory>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Deletion {
    fn run(&self) {
        loop {
            let work = {
                let mut queue = self.queue();
                if queue.names > FEW { None } else { queue.take(true) }
            };
            let Some(work) = work else { break };
            self.perform(work);
        }
        if self.queue().names <= FEW {
            return;
        }
        thread::scope(|scope| {
            // Where there can be no more threads, there are fewer.
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, || self.help()).ok();
            let helpers: Vec<_> = (1..THREADS).filter_map(spawn).collect();
            self.help();
            // The scope alone does not wait for their last system calls, and whoever counts these would now and then miss some.
            for helper in helpers {
                if let Err(panic) = helper.join() {
                    resume_unwind(panic);
                }
            }
        });
    }

    /// Works until nothing is left.
    fn help(&self) {
        let mut queue = self.queue();
        loop {
            if let Some(work) = queue.take(false) {
                queue.busy += 1;
                drop(queue);
                self.perform(work);
                queue = self.queue();
                queue.busy -= 1;
            } else if queue.busy == 0 {
                break;
            } else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.changed.notify_all();
    }

    fn perform(&self, work: Work) {
        match work {
            Work::List(parent, name) => self.descend(parent, name),
            Work::Unlink(dir, names) => self.unlink(dir, &names),
        }
    }

    fn descend(&self, parent: Arc<Directory>, name: CString) {
        let opened = if parent.depth < DEEP {
            open(&parent.fd, &name).map(|fd| Directory::new(fd, name.clone(), Some(parent.clone())))
        } else {
            self.move_up(&parent, &name)
        };
        match opened {
            Ok(dir) => self.list(Arc::new(dir)),
            Err(Errno::NOENT) => self.done(parent),
            Err(error) => self.fail("open", &parent, &name, error),
        }
    }

    /// Makes it one of the topmost directory's, whose names are all known by now.
    fn move_up(&self, parent: &Arc<Directory>, name: &CStr) -> Result<Directory, Errno> {
        let mut number = 0_u64;
        let moved = loop {
            let moved = CString::new(format!("deep-{number}")).unwrap_or_default();
            match renameat_with(&parent.fd, name, &self.top.fd, &moved, RenameFlags::NOREPLACE) {
                Ok(()) => break moved,
                Err(Errno::EXIST) => number += 1,
                Err(error) => return Err(error),
            }
        };
        let fd = open(&self.top.fd, &moved)?;
        self.top.left.fetch_add(1, Ordering::Relaxed);
        self.done(parent.clone());
        Ok(Directory::new(fd, moved, Some(self.top.clone())))
    }

    /// Finds out what is in a directory.
    fn list(&self, dir: Arc<Directory>) {
        let mut buffer = [MaybeUninit::uninit(); 32 << 10];
        let mut entries = RawDir::new(&dir.fd, &mut buffer);
        let (mut files, mut inner) = (Vec::new(), Vec::new());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => continue,
                Ok(entry) => entry,
                Err(error) => return self.fail("read", &dir, c"", error),
            };
            match kind(&dir, entry.file_name(), entry.file_type()) {
                FileType::Directory => inner.push(entry.file_name().to_owned()),
                _ => files.push(entry.file_name().to_owned()),
            }
            if files.len() == PORTION {
                self.add(&dir, std::mem::take(&mut files), Vec::new());
                self.keep_few_waiting();
            }
        }
        // Directories come last: nothing is moved up to this one while it is being read.
        self.add(&dir, files, inner);
        self.done(dir);
    }

    fn add(&self, dir: &Arc<Directory>, files: Vec<CString>, inner: Vec<CString>) {
        dir.left.fetch_add(usize::from(!files.is_empty()) + inner.len(), Ordering::Relaxed);
        let mut queue = self.queue();
        queue.names += files.len() + inner.len();
        if !files.is_empty() {
            queue.unlinks.push((dir.clone(), files));
        }
        queue.lists.extend(inner.into_iter().map(|name| (dir.clone(), name)));
        drop(queue);
        self.changed.notify_all();
    }

    /// A directory may have millions of names, which are not all remembered.
    fn keep_few_waiting(&self) {
        let next = {
            let mut queue = self.queue();
            if queue.unlinks.len() < WAITING { None } else { queue.unlinks.pop() }
        };
        if let Some((dir, names)) = next {
            self.unlink(dir, &names);
        }
    }

    fn unlink(&self, dir: Arc<Directory>, names: &[CString]) {
        let mut all = true;
        for name in names {
            match unlinkat(&dir.fd, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => {
                    self.fail("remove", &dir, name, error);
                    all = false;
                }
            }
        }
        if all {
            self.done(dir);
        }
    }

    /// One of the things is done that had to be done before this directory is empty. What stays keeps the directories above it.
    fn done(&self, dir: Arc<Directory>) {
        let mut dir = dir;
        while dir.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let Some(parent) = &dir.parent else { return };
            match unlinkat(&parent.fd, &dir.name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return self.fail("remove", parent, &dir.name, error),
            }
            dir = parent.clone();
        }
    }

    fn fail(&self, what: &'static str, dir: &Directory, name: &CStr, error: Errno) {
        let path = dir.path().join(OsStr::from_bytes(name.to_bytes()));
        self.queue().failed.get_or_insert((what, path, error.into()));
    }

    /// The queue is consistent between statements, so a panic elsewhere does not spoil it.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(at: impl std::os::fd::AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Not every file system tells when it is read.
fn kind(dir: &Directory, name: &CStr, told: FileType) -> FileType {
    match told {
        FileType::Unknown => statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |found| FileType::from_raw_mode(found.st_mode)),
        told => told,
    }
}
