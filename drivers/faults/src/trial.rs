//! One trial: an operation on a fresh root, one fault at one step of it, and a look at what is left.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use storage_driver::{MountMode, StorageDriver};
use storage_sys::{
    fork::Exit,
    trace::{self, Action, Call, Ending},
};

use crate::{
    Fault, Operation, Subject,
    baseline::Footprint,
    content::Oracle,
    look::{Layers, look},
    operation::{Due, Start, id},
    operations::create,
    pool::Answer,
    verify::{Known, verify},
};

/// What is done.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    pub operation: &'a Operation,
    /// The fault and the step that it hits, counted from 1 among the steps that it concerns; without it the operation
    /// runs undisturbed and its steps are counted.
    pub fault: Option<(Fault, usize)>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// How many steps there were for each fault, as far as the operation came.
    pub steps: BTreeMap<Fault, usize>,
    /// The call that was hit; `None` when the operation had fewer steps this time.
    pub hit: Option<String>,
    /// What is wrong; empty when everything survived.
    pub problems: Vec<String>,
}

impl Answer for Outcome {
    fn failed(why: String) -> Self {
        Self { problems: vec![why], ..Self::default() }
    }

    fn is_fine(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What the traced process tells of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    /// What the operation said, and whether that names a full disk.
    error: Option<(String, bool)>,
    /// Whether it has succeeded, and yet a layer says that it has lost what was written.
    lost: bool,
    /// What was wrong right after it had failed.
    problems: Vec<String>,
    /// It failed, and nothing was done after that.
    crashed: bool,
}

/// The surroundings of all trials.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    pub subject: &'a dyn Subject,
    pub oracle: &'a Oracle,
    pub baseline: &'a Footprint,
}

impl Setting<'_> {
    /// Runs a trial in `room`, which is empty. This process must have one thread, and no children.
    pub fn run(&self, plan: &Plan<'_>, room: &Path) -> Outcome {
        let root = room.join("root");
        let mut outcome = Outcome::default();
        let before = match fs::create_dir(&root)
            .map_err(|error| format!("cannot create {}: {error}", root.display()))
            .and_then(|()| self.prepare(plan.operation, &root))
        {
            Ok(before) => before,
            Err(problem) => {
                outcome.problems.push(format!("before the fault: {problem}"));
                return outcome;
            }
        };
        let may_lose = plan.fault.is_some_and(|(fault, _)| matches!(fault.action(), Action::Refuse(_)));
        let known = Known { operation: plan.operation, oracle: self.oracle, before: &before, may_lose };
        match self.disturb(plan, &root, &known, &mut outcome) {
            Err(error) => outcome.problems.push(format!("the operation could not be traced: {error}")),
            Ok(due) => outcome.problems.extend(verify(self.subject, &root, &known, due, self.baseline)),
        }
        outcome
    }

    /// Brings the root to where the operation starts.
    pub fn prepare(&self, operation: &Operation, root: &Path) -> Result<Layers, String> {
        if operation.start == Start::Closed && operation.fates.is_empty() {
            return Ok(Layers::new());
        }
        let said = |error: storage_driver::Error| error.to_string();
        let driver = self.subject.open(root).map_err(said)?;
        (operation.prepare)(&*driver, self.oracle).map_err(said)?;
        let before = look(&*driver)?;
        driver.shutdown().map_err(said)?;
        drop(driver);
        if operation.start == Start::Crashed {
            self.crash(root).map_err(|error| format!("no crash could be made: {error}"))?;
        }
        Ok(before)
    }

    /// Leaves a mount, a held one, a half-made layer and a half-removed one.
    fn crash(&self, root: &Path) -> io::Result<()> {
        let work = || -> storage_driver::Result<()> {
            let driver = self.subject.open(root)?;
            std::mem::forget(driver.mount(&id("work")?, MountMode::ReadWrite)?);
            std::mem::forget(driver.hold(driver.mount(&id("middle")?, MountMode::ReadOnly)?)?);
            trace::begin();
            // Fails, and so does cleaning up after it.
            _ = create(&*driver, "lost", Some("middle"));
            trace::begin();
            driver.remove(&id("gone")?)
        };
        let mut steps = 0;
        let mut section = 0;
        let mut decide = |call: &Call| {
            steps = if call.section() == section { steps + 1 } else { 1 };
            section = call.section();
            match (section, steps) {
                (_, 1 | 2) => Action::Proceed,
                (1, _) => Action::Refuse(libc::EIO),
                _ => Action::Kill,
            }
        };
        match trace::trace(|| i32::from(work().is_err()), &mut decide)? {
            Ending::Killed | Ending::Exited(Exit::Status(0)) => Ok(()),
            ending => Err(io::Error::other(format!("it ended with {ending:?}"))),
        }
    }

    /// Does the operation in a traced process, the fault at its step; tells what is due afterwards.
    fn disturb(&self, plan: &Plan<'_>, root: &Path, known: &Known<'_>, outcome: &mut Outcome) -> io::Result<Due> {
        let (mut reader, mut writer) = io::pipe()?;
        let mut tell = || {
            let told = self.act(plan, root, known);
            let json = serde_json::to_vec(&told).unwrap_or_default();
            i32::from(writer.write_all(&json).is_err())
        };
        let mut hit = None;
        let mut decide = |call: &Call| count(plan.fault, call, &mut outcome.steps, &mut hit);
        let ending = trace::trace(&mut tell, &mut decide)?;
        drop(writer);
        outcome.hit = hit.map(|call| call.replace(&format!("{}/", root.display()), ""));
        match ending {
            Ending::Killed => return Ok(Due::Crashed),
            Ending::Exited(Exit::Status(0)) => {}
            Ending::Exited(exit) => {
                outcome.problems.push(format!("the process ended with {exit:?}"));
                return Ok(Due::Crashed);
            }
        }
        let mut json = Vec::new();
        reader.read_to_end(&mut json)?;
        let told: Told = serde_json::from_slice(&json)?;
        outcome.problems.extend(judge(plan.fault, outcome.hit.is_some(), &told));
        outcome.problems.extend(told.problems);
        Ok(if told.crashed { Due::Failed } else { Due::Done })
    }

    /// In the traced process: the operation, and if it failed, a look at the state right after. Where the fault was
    /// one that lasts, it is over now and the operation is tried again; otherwise the process ends here, so that what
    /// was said to have failed is looked at by the next one.
    fn act(&self, plan: &Plan<'_>, root: &Path, known: &Known<'_>) -> Told {
        let mut attempt =
            Attempt { setting: self, operation: plan.operation, root, driver: None, problems: Vec::new() };
        if plan.operation.start == Start::Open {
            attempt.open();
        }
        trace::begin();
        let error = attempt.make();
        trace::end();
        let lost = error.is_none() && attempt.has_lost();
        let refused = plan.fault.filter(|(fault, _)| matches!(fault.action(), Action::Refuse(_)));
        let crashed = match refused.filter(|_| error.is_some()) {
            None => false,
            Some((fault, _)) => {
                attempt.look(known);
                if fault.lasts() {
                    attempt.make_again();
                }
                !fault.lasts()
            }
        };
        if crashed {
            std::mem::forget(attempt.driver);
        } else {
            attempt.close();
        }
        Told { error, lost, problems: attempt.problems, crashed }
    }
}

/// An operation under way.
pub struct Attempt<'a> {
    setting: &'a Setting<'a>,
    operation: &'a Operation,
    root: &'a Path,
    driver: Option<Arc<dyn StorageDriver>>,
    /// What was wrong so far.
    pub problems: Vec<String>,
}

impl<'a> Attempt<'a> {
    pub const fn new(setting: &'a Setting<'a>, operation: &'a Operation, root: &'a Path) -> Self {
        Self { setting, operation, root, driver: None, problems: Vec::new() }
    }

    /// Opens the driver.
    pub fn open(&mut self) {
        match self.setting.subject.open(self.root) {
            Ok(driver) => self.driver = Some(driver),
            Err(error) => self.problems.push(format!("it did not open: {error}")),
        }
    }

    /// Does it, after opening the driver if it is not open; what it said if it failed, and whether that names a full disk.
    pub fn make(&mut self) -> Option<(String, bool)> {
        let result = catch_unwind(AssertUnwindSafe(|| {
            if self.driver.is_none() {
                self.driver = Some(self.setting.subject.open(self.root)?);
            }
            self.driver.as_ref().map_or(Ok(()), |driver| (self.operation.act)(&**driver, self.setting.oracle))
        }));
        match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((error.to_string(), error.is_no_space())),
            Err(panic) => {
                let text = panic_text(panic);
                self.problems.push(format!("the driver panicked: {text}"));
                Some((text, false))
            }
        }
    }

    /// What is wrong right after a failure.
    pub fn look(&mut self, known: &Known<'_>) {
        if let Some(driver) = &self.driver {
            let found = known.problems(&**driver, Due::Failed);
            self.problems.extend(found.into_iter().map(|problem| format!("right after the failure: {problem}")));
        }
    }

    /// Whether a layer says that it has lost what was written to it.
    fn has_lost(&self) -> bool {
        let Some(driver) = &self.driver else { return false };
        let layers = driver.list().unwrap_or_default();
        layers.iter().any(|info| matches!(driver.changes(&info.id), Err(storage_driver::Error::Lost { .. })))
    }

    /// After a failure, without the fault; with a layer that is lost and was not made anew there is nothing more to be tried.
    pub fn make_again(&mut self) {
        if let Some(driver) = &self.driver
            && let Err(error) = (self.operation.back)(&**driver, self.setting.oracle)
        {
            self.problems.push(format!("after the failure, it cannot be taken back: {error}"));
        }
        if self.has_lost() {
            return;
        }
        if let Some((error, _)) = self.make() {
            self.problems.push(format!("without the fault, it fails again: {error}"));
        }
    }

    pub fn close(&mut self) {
        if let Some(Err(error)) = self.driver.take().map(|driver| driver.shutdown()) {
            self.problems.push(format!("it does not shut down: {error}"));
        }
    }
}

/// Counts the steps and finds the one to be hit.
fn count(
    fault: Option<(Fault, usize)>,
    call: &Call,
    steps: &mut BTreeMap<Fault, usize>,
    hit: &mut Option<String>,
) -> Action {
    for fault in Fault::ALL.into_iter().filter(|fault| fault.concerns(call)) {
        *steps.entry(fault).or_default() += 1;
    }
    let Some((fault, step)) = fault.filter(|(fault, _)| fault.concerns(call)) else { return Action::Proceed };
    let now = steps.get(&fault).copied().unwrap_or_default();
    if now == step {
        *hit = Some(call.describe());
    }
    if now == step || (fault.lasts() && now > step) { fault.action() } else { Action::Proceed }
}

/// Whether what the operation said fits the fault.
fn judge(fault: Option<(Fault, usize)>, hit: bool, told: &Told) -> Option<String> {
    match (fault.filter(|_| hit).map(|(fault, _)| fault), &told.error) {
        (None, None) => None,
        (None, Some((error, _))) => Some(format!("it failed without a fault: {error}")),
        (Some(Fault::Enospc | Fault::EnospcOnce), Some((error, false))) => {
            Some(format!("the error does not say that there is no space: {error}"))
        }
        (Some(Fault::Eio), None) if !told.lost => {
            Some("a sync failed, and the operation said that all was well".to_owned())
        }
        _ => None,
    }
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
