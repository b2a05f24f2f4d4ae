use std::{
    fs,
    num::NonZero,
    os::unix::fs::PermissionsExt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{Case, Context, During, Filter, Report, Stop, Subject, Verdict, cases, leaks, ram::Ram};

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything held.
    Passed,
    /// Something did not hold: what was expected, and what came.
    Failed(String),
    /// The case means nothing here, for this reason.
    NotApplicable(String),
}

/// One case on one driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseReport {
    /// The driver, as its [`Subject`] is called.
    pub subject: String,
    /// The case's group.
    pub group: String,
    /// The case's name within the group.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took, making and removing its directories included.
    pub duration: Duration,
}

/// Runs the cases that `filter` takes on each of the subjects, `jobs` of them at a time,
/// as long as `go_on` says so before each. The report has them in the order of the subjects, and of the cases.
///
/// A case that fails or panics does not keep the others from running.
#[must_use]
pub fn run(
    subjects: &[&dyn Subject],
    filter: Filter<'_>,
    jobs: NonZero<usize>,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Report {
    let cases = || cases().iter().filter(|case| filter.takes(&case.full_name()));
    let chosen: Vec<_> = subjects.iter().flat_map(|subject| cases().map(move |case| (*subject, case))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while go_on() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((subject, case)) = chosen.get(index) else { break };
            done.push((index, run_case(*subject, case)));
        }
        done
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.get()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    Report { cases: done.into_iter().map(|(_, case)| case).collect() }
}

/// Runs one case in a room of its own.
#[must_use]
pub fn run_case(subject: &dyn Subject, case: &Case) -> CaseReport {
    let started = Instant::now();
    let outcome = match in_fresh_room(subject, case) {
        Ok(()) => Outcome::Passed,
        Err(Stop::Failed(text)) => Outcome::Failed(text),
        Err(Stop::NotApplicable(why)) => Outcome::NotApplicable(why),
    };
    CaseReport {
        subject: subject.name().to_owned(),
        group: case.group.to_owned(),
        name: case.name.to_owned(),
        outcome,
        duration: started.elapsed(),
    }
}

fn in_fresh_room(subject: &dyn Subject, case: &Case) -> Verdict {
    in_room_of_its_own(subject, |context| {
        let driver = context.driver();
        for need in case.needs {
            if let Some(why) = need.missing(driver.capabilities(), subject.is_persistent(), context.room()) {
                return Err(Stop::NotApplicable(why));
            }
        }
        drop(driver);
        (case.run)(context)
    })
}

/// Gives `work` a driver on a fresh root, and afterwards takes everything away and looks for leaks.
pub(crate) fn in_room_of_its_own(subject: &dyn Subject, work: impl FnOnce(&Context<'_>) -> Verdict) -> Verdict {
    let base = fs::canonicalize(subject.base()).during(|| format!("open {}", subject.base().display()))?;
    let room = tempfile::Builder::new().prefix("conformance-").tempdir_in(base)?;
    // Other users must be able to pass, for cases that look with another user's eyes.
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o711))?;
    let ram = subject.wants_ram().then(|| Ram::on(room.path())).flatten();
    let verdict = catching(|| {
        let context = Context::open(subject, room.path())?;
        work(&context)?;
        context.close()
    });
    let verdict = verdict.and_then(|()| leaks::check(room.path()));
    leaks::sweep(room.path());
    drop(ram);
    // Subvolumes that a case left in the driver's root, too.
    let path = room.keep();
    let removed = storage_sys::btrfs::remove_tree(&path).during(|| format!("remove {}", path.display()));
    verdict.and(removed)
}

fn catching(operation: impl FnOnce() -> Verdict) -> Verdict {
    catch_unwind(AssertUnwindSafe(operation)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Err(Stop::failed(format!("panicked: {text}")))
    })
}
