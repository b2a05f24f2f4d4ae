//! Stages as soon as what they need is there, several at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering, mpsc},
    thread,
};

use super::{Build, stage::StageRun};
use crate::{Error, Observer, Result, StepReport, StepStart, Stream};

/// A command that writes faster than the observer reads waits.
const EVENTS: usize = 64;

/// Builds all stages of the plan; the reports of their steps come in the order of the file.
pub fn all(build: &Build<'_>, observer: &mut dyn Observer) -> Result<Vec<StepReport>> {
    let workers = build.request.jobs.max(1).min(build.plan.stages.len());
    let schedule = Schedule::new(build);
    if workers == 1 {
        // Without threads, so that the observer hears of everything when it happens.
        schedule.work(observer);
    } else {
        thread::scope(|scope| {
            let (sender, events) = mpsc::sync_channel(EVENTS);
            for _ in 0..workers {
                let mut forward = Forward(sender.clone());
                let schedule = &schedule;
                scope.spawn(move || schedule.work(&mut forward));
            }
            drop(sender);
            events.iter().for_each(|event| event.tell(observer));
        });
    }
    schedule.finish()
}

struct Schedule<'a, 'b> {
    build: &'a Build<'b>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    waiting: BTreeSet<usize>,
    done: BTreeSet<usize>,
    steps: BTreeMap<usize, Vec<StepReport>>,
    error: Option<Error>,
}

impl<'a, 'b> Schedule<'a, 'b> {
    fn new(build: &'a Build<'b>) -> Self {
        let waiting = build.plan.stages.iter().copied().collect();
        let progress = Mutex::new(Progress { waiting, ..Progress::default() });
        Self { build, progress, changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds stages until none is left for this thread.
    fn work(&self, observer: &mut dyn Observer) {
        while let Some(number) = self.next() {
            let _guard = WakeOthers(self);
            let built = StageRun::new(self.build, number, observer).and_then(StageRun::run);
            let mut progress = self.lock();
            match built {
                Ok((state, steps)) => {
                    self.build.finish_stage(number, state);
                    progress.done.insert(number);
                    progress.steps.insert(number, steps);
                }
                Err(error) => {
                    // The others stop because of the first; what they say then is of no interest.
                    if progress.error.is_none() {
                        progress.error = Some(error);
                    }
                    progress.waiting.clear();
                    self.build.halt.store(true, Ordering::Relaxed);
                }
            }
            self.changed.notify_all();
        }
    }

    /// The first stage that has all it needs, once there is one. What a stage needs comes before it, so that some stage
    /// is always being built while others wait.
    fn next(&self) -> Option<usize> {
        let mut progress = self.lock();
        loop {
            if progress.waiting.is_empty() {
                return None;
            }
            let needs = &self.build.plan.needs;
            let ready = |number: &&usize| needs[**number].iter().all(|needed| progress.done.contains(needed));
            if let Some(number) = progress.waiting.iter().find(ready).copied() {
                progress.waiting.remove(&number);
                return Some(number);
            }
            progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(self) -> Result<Vec<StepReport>> {
        let progress = self.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        match progress.error {
            Some(error) => Err(error),
            None => Ok(progress.steps.into_values().flatten().collect()),
        }
    }
}

/// A thread that panics must not leave the others waiting for its stage.
struct WakeOthers<'s, 'a, 'b>(&'s Schedule<'a, 'b>);

impl Drop for WakeOthers<'_, '_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().waiting.clear();
            self.0.changed.notify_all();
        }
    }
}

/// What a stage's thread has to tell.
enum Event {
    Started(StepStart),
    Output(usize, Stream, Vec<u8>),
    Done(StepReport),
    Warning(String),
}

impl Event {
    fn tell(self, observer: &mut dyn Observer) {
        match self {
            Self::Started(step) => observer.step_started(&step),
            Self::Output(index, stream, bytes) => observer.output(index, stream, &bytes),
            Self::Done(report) => observer.step_done(&report),
            Self::Warning(text) => observer.warning(&text),
        }
    }
}

/// Hands everything to the thread that has the observer.
struct Forward(mpsc::SyncSender<Event>);

impl Forward {
    fn send(&self, event: Event) {
        // The receiver lives as long as any sender.
        let _ = self.0.send(event);
    }
}

impl Observer for Forward {
    fn step_started(&mut self, step: &StepStart) {
        self.send(Event::Started(step.clone()));
    }

    fn output(&mut self, index: usize, stream: Stream, bytes: &[u8]) {
        self.send(Event::Output(index, stream, bytes.to_vec()));
    }

    fn step_done(&mut self, report: &StepReport) {
        self.send(Event::Done(report.clone()));
    }

    fn warning(&mut self, text: &str) {
        self.send(Event::Warning(text.to_owned()));
    }
}
