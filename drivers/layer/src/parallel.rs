use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
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

/// A queue of items that are each little work, from one thread to several. Waking a thread takes as long as making a small file, so
/// who waits is woken when there is something to do for a while, and takes his share of what is there.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    emptied: Condvar,
    /// How many items wait at most.
    room: usize,
    /// How many one thread takes at most, and how many are worth waking one.
    batch: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// There will be no more.
    ended: bool,
    /// Threads that wait for items.
    waiting: usize,
    /// The sender waits until half of the room is free.
    is_full: bool,
    threads: usize,
}

/// The sending end; when it is dropped the queue ends.
#[derive(Debug)]
pub(crate) struct Sender<'q, T>(&'q Queue<T>);

impl<T> Queue<T> {
    /// For so many threads.
    pub fn new(threads: usize, room: usize, batch: usize) -> Self {
        let state = State { items: VecDeque::with_capacity(room), ended: false, waiting: 0, is_full: false, threads };
        // A batch that there is no room for would never be full, and nobody woken.
        let batch = batch.min(room);
        Self { state: Mutex::new(state), filled: Condvar::new(), emptied: Condvar::new(), room, batch }
    }

    /// To be called once.
    pub const fn sender(&self) -> Sender<'_, T> {
        Sender(self)
    }

    /// The next items; none when there are no more.
    pub fn take(&self) -> Vec<T> {
        let mut state = self.lock();
        while state.items.is_empty() && !state.ended {
            state.waiting += 1;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let share = state.items.len().div_ceil(state.threads).min(self.batch);
        let items = state.items.drain(..share).collect();
        let wake = state.is_full && state.items.len() <= self.room / 2;
        state.is_full &= !wake;
        drop(state);
        if wake {
            self.emptied.notify_one();
        }
        items
    }

    /// The state is consistent between statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<'_, T> {
    /// Waits while the queue is full.
    pub fn send(&mut self, item: T) {
        let queue = self.0;
        let mut state = queue.lock();
        state.is_full = state.items.len() >= queue.room;
        while state.is_full {
            state = queue.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.items.push_back(item);
        let wake = state.waiting > 0 && state.items.len() >= queue.batch;
        drop(state);
        if wake {
            queue.filled.notify_one();
        }
    }

    /// Has what is there begun.
    pub fn flush(&mut self) {
        let waits = self.0.lock().waiting > 0;
        if waits {
            self.0.filled.notify_one();
        }
    }
}

impl<T> Drop for Sender<'_, T> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.filled.notify_all();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_taken_once_and_the_end_is_seen_by_all() {
        for (threads, room, batch, count) in [(1, 1, 1, 100), (2, 4, 8, 1000), (3, 64, 8, 5), (4, 16, 4, 10_000)] {
            let queue = Queue::new(threads, room, batch);
            let mut taken: Vec<u32> = thread::scope(|scope| {
                let taking = || {
                    let mut mine = Vec::new();
                    loop {
                        let items = queue.take();
                        assert!(items.len() <= batch, "{} at once", items.len());
                        if items.is_empty() {
                            return mine;
                        }
                        mine.extend(items);
                    }
                };
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(taking)).collect();
                let mut sender = queue.sender();
                (0..count).for_each(|item| {
                    sender.send(item);
                    if item % 7 == 0 {
                        sender.flush();
                    }
                });
                drop(sender);
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            taken.sort_unstable();
            assert!(taken.into_iter().eq(0..count));
        }
    }

    #[test]
    fn a_few_items_are_shared_out() {
        let queue = Queue::new(4, 64, 8);
        let mut sender = queue.sender();
        (0..8).for_each(|item| sender.send(item));
        assert_eq!(queue.take().len(), 2, "one thread took what others could do");
    }
}
