//! Many lives at once, each on a thread of its own.

use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// How long each step of a life took.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) steps: Vec<(&'static str, Duration)>,
}

impl Life {
    /// Does a step and takes its time.
    pub(super) fn step<T>(&mut self, phase: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let done = work()?;
        self.steps.push((phase, started.elapsed()));
        Ok(done)
    }

    /// All of its steps; waiting for others is none of them.
    pub(super) fn total(&self) -> Duration {
        self.steps.iter().map(|(_, time)| *time).sum()
    }
}

/// Where those who live at once wait until all of them live. It stays open from then on.
#[derive(Debug)]
struct Gate {
    missing: Mutex<u64>,
    changed: Condvar,
}

impl Gate {
    const fn new(missing: u64) -> Self {
        Self { missing: Mutex::new(missing), changed: Condvar::new() }
    }

    fn missing(&self) -> MutexGuard<'_, u64> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) {
        let mut missing = self.missing();
        *missing = missing.saturating_sub(1);
        self.changed.notify_all();
        while *missing > 0 {
            missing = self.changed.wait(missing).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) {
        *self.missing() = 0;
        self.changed.notify_all();
    }
}

/// A life's way through the gate.
#[derive(Debug)]
pub(super) struct Together<'a>(&'a Gate);

impl Together<'_> {
    /// Waits until all others live, too. A life that failed to begin passes as well, for the others would wait for it.
    pub(super) fn wait(self) {
        self.0.pass();
    }
}

/// Lets `parallel` threads live `each` lives; a life has a number of its own.
pub(super) fn lives(
    parallel: u64,
    each: u64,
    live: impl Fn(u64, Together<'_>) -> Result<Life> + Sync,
) -> Result<Vec<Life>> {
    let gate = Gate::new(parallel);
    let some = |first: u64| -> Result<Vec<Life>> {
        (0..each).map(|number| live(first * each + number, Together(&gate))).collect()
    };
    if parallel == 1 {
        return some(0);
    }
    let some = &some;
    thread::scope(|scope| {
        let threads: io::Result<Vec<_>> =
            (0..parallel).map(|first| thread::Builder::new().spawn_scoped(scope, move || some(first))).collect();
        let threads = threads.map_err(|error| {
            // Those who live already must not wait for those who never will.
            gate.open();
            Error::Engine(error.into())
        })?;
        let mut lived = Vec::new();
        for thread in threads {
            let some = thread.join().map_err(|_| Error::Engine("a life ended in a panic".into()))?;
            lived.extend(some?);
        }
        Ok(lived)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn all_live_at_once_and_have_numbers_of_their_own() {
        let (alive, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let lived = lives(8, 1, |_, together| {
            let mut life = Life::default();
            life.step("begin", || Ok(alive.fetch_add(1, Ordering::SeqCst)))?;
            together.wait();
            most.fetch_max(alive.load(Ordering::SeqCst), Ordering::SeqCst);
            Ok(life)
        });
        assert_eq!(lived.unwrap().len(), 8);
        assert_eq!(most.into_inner(), 8);
        let numbers = Mutex::new(Vec::new());
        let lived = lives(1, 5, |number, together| {
            together.wait();
            numbers.lock().unwrap().push(number);
            Ok(Life::default())
        });
        assert_eq!((lived.unwrap().len(), numbers.into_inner().unwrap()), (5, vec![0, 1, 2, 3, 4]));
    }

    #[test]
    fn one_failure_is_told_and_does_not_hold_the_others_up() {
        let failed = lives(4, 1, |number, together| {
            let begun = if number == 2 { Err(Error::effect("a life", 1, 2)) } else { Ok(Life::default()) };
            together.wait();
            begun
        });
        assert!(matches!(failed, Err(Error::Effect { .. })));
    }
}
