//! What the threads of a supervisor share: the container's state, and the container while it runs.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use harness_network::Attachment;
use harness_runtime::Container;
use nix::sys::signal::SIGKILL;
use oci_spec::runtime::Spec;
use storage_driver::Timestamp;

use crate::{
    Answer, Error, Health, Held, Record, Result, State,
    health::{Plan, Probe},
    record::Phase,
};

/// A container's state, and the container while it runs.
#[derive(Debug)]
pub(super) struct Shared {
    name: String,
    stop_signal: i32,
    stop_timeout: u64,
    has_health: bool,
    /// With its end: then nobody will want to know its state after a power loss.
    vanishes: bool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    /// Until the end.
    held: Option<Held>,
    state: State,
    container: Option<Arc<Container>>,
    began: Option<Instant>,
    /// Somebody stopped it: it is not started again.
    stopped: bool,
    /// It has ended for good, or was never started.
    over: bool,
}

impl Shared {
    pub(super) fn new(held: Held, record: &Record, before: State) -> Self {
        let configuration = &record.configuration;
        let state = State { supervisor: Some(std::process::id()), restarts: 0, error: None, stopped: false, ..before };
        Self {
            name: record.name.clone(),
            stop_signal: configuration.stop_signal(),
            stop_timeout: configuration.stop_timeout(),
            vanishes: record.auto_remove,
            has_health: configuration.health.as_ref().is_some_and(|check| Plan::of(check).is_some()),
            inner: Mutex::new(Inner {
                held: Some(held),
                state,
                container: None,
                began: None,
                stopped: false,
                over: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, on disk too, and wakes who waits for that.
    fn change(&self, change: impl FnOnce(&mut Inner)) -> Result<()> {
        let mut inner = self.lock();
        change(&mut inner);
        self.changed.notify_all();
        let Some(held) = &inner.held else { return Ok(()) };
        if self.vanishes { held.write_volatile_state(&inner.state) } else { held.write_state(&inner.state) }
    }

    pub(super) fn write_spec(&self, spec: &Spec) -> Result<()> {
        self.lock().held.as_ref().map_or(Ok(()), |held| held.write_spec(spec))
    }

    pub(super) fn running(&self, container: &Arc<Container>, network: Option<Attachment>) -> Result<()> {
        let record = container.record()?;
        self.change(|inner| {
            inner.state.phase = Phase::Running;
            inner.state.started = Some(now());
            inner.state.pid = Some(record.pid);
            inner.state.running = Some(record);
            inner.state.oom_killed = false;
            inner.state.network = network;
            inner.state.health = self.has_health.then(Health::default);
            inner.container = Some(container.clone());
            inner.began = Some(Instant::now());
        })?;
        // Somebody was quicker than the start.
        if self.lock().stopped {
            self.signal(SIGKILL as i32)?;
        }
        Ok(())
    }

    /// What the disk has no room for must not hide how the container ended: it is dead to others then.
    fn change_at_the_end(&self, change: impl FnOnce(&mut Inner)) {
        if let Err(error) = self.change(change) {
            tracing::warn!(container = self.name, %error, "how the container ended is not in its state");
        }
    }

    pub(super) fn ended(&self, status: i32, oom_killed: bool) {
        self.change_at_the_end(|inner| {
            inner.container = None;
            inner.state.phase = Phase::Exited;
            inner.state.status = Some(status);
            inner.state.oom_killed = oom_killed;
            inner.state.finished = Some(now());
            inner.state.pid = None;
            inner.state.network = None;
            inner.state.running = None;
        });
    }

    pub(super) fn restarts(&self) -> u32 {
        self.lock().state.restarts
    }

    /// It will be started again; false if somebody stopped it.
    pub(super) fn restarting(&self) -> Result<bool> {
        if self.lock().stopped {
            return Ok(false);
        }
        self.change(|inner| {
            inner.state.phase = Phase::Restarting;
            inner.state.restarts += 1;
        })?;
        Ok(true)
    }

    /// Waits, unless somebody stops it meanwhile.
    pub(super) fn is_stopped_within(&self, pause: Duration) -> bool {
        let inner = self.lock();
        let (inner, _) = self
            .changed
            .wait_timeout_while(inner, pause, |inner| !inner.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        inner.stopped
    }

    /// Nothing will be done with it any more; gives the right to look after it back.
    pub(super) fn finish(&self, error: Option<&Error>) -> Result<Held> {
        self.change_at_the_end(|inner| {
            inner.over = true;
            inner.container = None;
            inner.state.phase = Phase::Exited;
            inner.state.supervisor = None;
            inner.state.pid = None;
            inner.state.network = None;
            inner.state.running = None;
            if let Some(error) = error {
                inner.state.error = Some(error.to_string());
                inner.state.status = Some(error.status().into());
                inner.state.finished = Some(now());
            }
        });
        self.lock().held.take().ok_or_else(|| Error::refused(&self.name, "has ended already"))
    }

    /// The container, while it runs.
    fn container(&self) -> Result<Arc<Container>> {
        self.lock().container.clone().ok_or_else(|| Error::refused(&self.name, "is not running"))
    }

    pub(super) fn signal(&self, signal: i32) -> Result<()> {
        Ok(self.container()?.signal(signal)?)
    }

    /// As docker's kill: one that is killed is not started again.
    pub(super) fn kill(&self, signal: i32) -> Result<()> {
        let container = self.container()?;
        if signal == SIGKILL as i32 || signal == self.stop_signal {
            let mut inner = self.lock();
            (inner.stopped, inner.state.stopped) = (true, true);
        }
        container.signal(signal)?;
        if signal == SIGKILL as i32 {
            // A process that is frozen does not end.
            let _ = container.resume();
        }
        Ok(())
    }

    /// As [`stop`](Self::stop), because somebody wants it so: a policy that respects that does not start it again.
    pub(super) fn stop_for_good(&self, signal: Option<i32>, timeout: Option<u64>) -> Result<Answer> {
        self.lock().state.stopped = true;
        self.stop(signal, timeout)
    }

    /// Asks the container to end, and makes it after the time it has for that. Returns when it has.
    pub(super) fn stop(&self, signal: Option<i32>, timeout: Option<u64>) -> Result<Answer> {
        let container = {
            let mut inner = self.lock();
            inner.stopped = true;
            self.changed.notify_all();
            inner.container.clone()
        };
        let Some(container) = container else { return Ok(self.wait()) };
        if container.is_paused().unwrap_or(false) {
            container.resume()?;
        }
        container.signal(signal.unwrap_or(self.stop_signal))?;
        drop(container);
        let patience = Duration::from_secs(timeout.unwrap_or(self.stop_timeout));
        let inner = self.lock();
        let (inner, waited) = self
            .changed
            .wait_timeout_while(inner, patience, |inner| inner.container.is_some())
            .unwrap_or_else(PoisonError::into_inner);
        let still = inner.container.clone().filter(|_| waited.timed_out());
        drop(inner);
        if let Some(container) = still {
            container.signal(SIGKILL as i32)?;
        }
        Ok(self.wait())
    }

    /// Waits until it has ended for good.
    pub(super) fn wait(&self) -> Answer {
        let inner = self.lock();
        let ended = |inner: &mut Inner| {
            inner.over || inner.stopped && inner.container.is_none() && inner.state.phase == Phase::Exited
        };
        let inner = self.changed.wait_while(inner, |inner| !ended(inner)).unwrap_or_else(PoisonError::into_inner);
        Answer { status: inner.state.status, error: None }
    }

    pub(super) fn pause(&self) -> Result<()> {
        let container = self.container()?;
        if self.lock().state.phase == Phase::Paused {
            return Err(Error::refused(&self.name, "is paused already"));
        }
        container.pause().map_err(|error| match error {
            harness_runtime::Error::Freeze { .. } => Error::refused(
                &self.name,
                "has no cgroup to be frozen in; those have one that root starts in the background, or with a limit",
            ),
            other => other.into(),
        })?;
        self.change(|inner| inner.state.phase = Phase::Paused)
    }

    pub(super) fn resume(&self) -> Result<()> {
        let container = self.container()?;
        if self.lock().state.phase != Phase::Paused {
            return Err(Error::refused(&self.name, "is not paused"));
        }
        container.resume()?;
        self.change(|inner| inner.state.phase = Phase::Running)
    }

    /// Waits for the next probe's time; false when the container has ended.
    pub(super) fn is_running_after(&self, container: &Arc<Container>, plan: &Plan) -> bool {
        let inner = self.lock();
        let runs = |inner: &Inner| inner.container.as_ref().is_some_and(|now| Arc::ptr_eq(now, container));
        let pause = plan.pause(inner.state.health.as_ref().unwrap_or(&Health::default()), since(&inner));
        let waited = self.changed.wait_timeout_while(inner, pause, |inner| runs(inner));
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        runs(&inner)
    }

    pub(super) fn probed(&self, container: &Arc<Container>, plan: &Plan, probe: Probe) -> Result<()> {
        self.change(|inner| {
            let running = since(inner);
            let same = inner.container.as_ref().is_some_and(|now| Arc::ptr_eq(now, container));
            if let Some(health) = inner.state.health.as_mut().filter(|_| same) {
                plan.judge(health, probe, running);
            }
        })
    }
}

fn since(inner: &Inner) -> Duration {
    inner.began.map_or(Duration::ZERO, |began| began.elapsed())
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
