use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, SyncSender, sync_channel},
    },
    thread,
};

/// More threads than this only wait for each other: for a directory's lock or for memory bandwidth.
const MOST_THREADS: usize = 8;

/// Found out once: it takes some twenty system calls to read the limits of the cgroup.
pub(crate) fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS))
}

/// The sending end of a queue of items that are each little work: they are handed over several at once, since waking a
/// thread takes as long as making a small file.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    queue: SyncSender<Vec<T>>,
    batch: Vec<T>,
    most: usize,
}

/// The receiving end, for several threads.
#[derive(Debug)]
pub(crate) struct Receiver<T>(Mutex<mpsc::Receiver<Vec<T>>>);

/// A queue of so many batches of so many items.
pub(crate) fn queue<T>(batches: usize, most: usize) -> (Sender<T>, Receiver<T>) {
    let (queue, receiver) = sync_channel(batches);
    (Sender { queue, batch: Vec::with_capacity(most), most }, Receiver(Mutex::new(receiver)))
}

impl<T> Sender<T> {
    /// Waits while the queue is full. False when nobody receives any more.
    pub fn send(&mut self, item: T) -> bool {
        self.batch.push(item);
        self.batch.len() < self.most || self.flush()
    }

    /// Hands over what is there.
    pub fn flush(&mut self) -> bool {
        let next = Vec::with_capacity(self.most);
        self.queue.send(std::mem::replace(&mut self.batch, next)).is_ok()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if !self.batch.is_empty() {
            self.flush();
        }
    }
}

impl<T> Receiver<T> {
    /// The next items; `None` when there are no more.
    pub fn next(&self) -> Option<Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }
}

/// `work` on every item, on several threads; the answers are in the items' order.
///
/// The items are taken one by one, so that a large one does not hold up the others.
pub(crate) fn map<T: Sync, A: Send>(items: &[T], work: impl Fn(&T) -> A + Sync) -> Vec<A> {
    let threads = threads().min(items.len());
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut all: Vec<(usize, A)> = thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut all = run();
        for helper in helpers {
            match helper.join() {
                Ok(part) => all.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, answer)| answer).collect()
}
