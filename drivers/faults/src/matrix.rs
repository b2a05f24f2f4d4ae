//! The whole of it: every operation, every fault, every step.

use std::{num::NonZero, thread::available_parallelism, time::Duration};

use crate::{
    Error, Fault, Operation, Report, Result, Row, Subject,
    baseline::measure,
    content::Oracle,
    full, operations,
    pool::Pool,
    power,
    report::Lost,
    room::Room,
    trial::{Outcome, Plan, Setting},
};

/// The longest that a trial may take; one that works takes milliseconds, and seconds where processors are emulated.
const DEADLINE: Duration = Duration::from_secs(240);

/// How often a step is tried again that an operation did not come to, because its threads ran in another order.
const TRIES: usize = 3;

/// What of the matrix is run.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The faults; none for all.
    pub faults: Vec<Fault>,
    /// Names of operations; none for all.
    pub operations: Vec<String>,
    /// This step alone.
    pub step: Option<usize>,
}

impl Choice {
    fn operations(&self) -> Result<Vec<&'static Operation>> {
        let known = || operations().iter().map(|operation| operation.name).collect::<Vec<_>>().join(", ");
        if self.operations.is_empty() {
            return Ok(operations().iter().collect());
        }
        let find = |name: &String| {
            let found = operations().iter().find(|operation| operation.name == name);
            found.ok_or_else(|| Error::Unknown { what: "operation", name: name.clone(), known: known() })
        };
        self.operations.iter().map(find).collect()
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.is_empty() || self.faults.contains(&fault)
    }

    /// The steps of 1 to `last` that are to be tried.
    fn steps(&self, last: usize) -> impl Iterator<Item = usize> + use<> {
        let only = self.step;
        (1..=last).filter(move |step| only.is_none_or(|only| only == *step))
    }
}

/// Runs what was chosen on a driver; `done` is told of each operation and fault as its row is complete.
///
/// The process must have one thread: trials are forked.
///
/// # Errors
/// [`Error`] when the matrix itself cannot be run; what a driver loses is in the report.
pub fn run(subject: &dyn Subject, choice: &Choice, done: &mut dyn FnMut(&Row)) -> Result<Report> {
    let chosen = choice.operations()?;
    let room = Room::make(&subject.ground())?;
    let oracle = Oracle::make(room.path())?;
    let baseline = measure(subject, room.path())?;
    let setting = Setting { subject, oracle: &oracle, baseline: &baseline };
    let jobs = available_parallelism().map_or(1, NonZero::get);
    let pool = Pool { room: room.path(), jobs, deadline: DEADLINE };
    let mut report = Report::default();
    for operation in chosen.into_iter().filter(|operation| !operation.limits || baseline.limits) {
        let mut add = |row: Row| {
            done(&row);
            report.rows.push(row);
        };
        let row = |fault| Row::new(subject.name(), operation.name, fault);
        let control = pool.run(&[Plan { operation, fault: None }], |plan, dir| setting.run(plan, dir))?.remove(0);
        if !control.problems.is_empty() {
            let mut row = row(None);
            row.lost.push(Lost { step: 0, call: "nothing was disturbed".to_owned(), problems: control.problems });
            add(row);
            continue;
        }
        for fault in Fault::ALL.into_iter().filter(|fault| choice.has(*fault)) {
            let mut row = row(Some(fault));
            match fault {
                Fault::Full => full::fill(&setting, operation, choice.step, &pool, &mut row)?,
                Fault::Power | Fault::PowerCommit => {
                    power::lose(&setting, (operation, fault), choice.step, &pool, &mut row)?;
                }
                _ => {
                    let steps = control.steps.get(&fault).copied().unwrap_or_default();
                    try_all(&setting, (operation, fault), (choice, steps), &pool, &mut row)?;
                }
            }
            add(row);
        }
    }
    Ok(report)
}

/// Tries every step, those again that were not come to, and those beyond the last that was counted.
fn try_all(
    setting: &Setting<'_>,
    (operation, fault): (&Operation, Fault),
    (choice, counted): (&Choice, usize),
    pool: &Pool<'_>,
    row: &mut Row,
) -> Result<()> {
    let run = |steps: &[usize]| -> Result<Vec<(usize, Outcome)>> {
        let plans: Vec<_> = steps.iter().map(|step| Plan { operation, fault: Some((fault, *step)) }).collect();
        Ok(steps.iter().copied().zip(pool.run(&plans, |plan, dir| setting.run(plan, dir))?).collect())
    };
    let mut left: Vec<usize> = choice.steps(counted).collect();
    for _ in 0..TRIES {
        let outcomes = run(&left)?;
        left = outcomes.into_iter().filter_map(|(step, outcome)| row.count(step, outcome)).collect();
    }
    row.missed = left.len();
    // An operation whose threads took another turn may have more steps than were counted.
    let mut next = counted + 1;
    while counted > 0 && choice.step.is_none() {
        let outcomes = run(&[next])?;
        if outcomes.into_iter().any(|(step, outcome)| row.count(step, outcome).is_some()) {
            break;
        }
        next += 1;
    }
    Ok(())
}

impl Row {
    /// Counts a trial; the step again when the operation did not come to it and nothing else was wrong.
    fn count(&mut self, step: usize, outcome: Outcome) -> Option<usize> {
        if outcome.hit.is_none() && outcome.problems.is_empty() {
            return Some(step);
        }
        self.tried += 1;
        if outcome.problems.is_empty() {
            self.survived += 1;
        } else {
            let call = outcome.hit.unwrap_or_else(|| "it came to no such step".to_owned());
            self.lost.push(Lost { step, call, problems: outcome.problems });
        }
        None
    }
}
