//! The matrix on every driver, and on drivers that are careless on purpose, which it must find out.
//!
//! One after the other on the main thread: trials are forked, and only a process with one thread may be.

mod careless;
mod drivers;
mod seam;

use std::process::ExitCode;

use driver_faults::{Choice, Fault, Report, Subject, operations, run};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = [seam::trials(), careless::trials(), matrix()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What is run of the matrix in a test: every fault at every step, but of the longest operation only those faults that
/// take it as a whole.
fn matrix() -> Vec<Trial> {
    let all: Vec<_> = operations().iter().map(|operation| operation.name).collect();
    let but_life: Vec<_> = all.iter().copied().filter(|name| *name != "life").collect();
    let durable = vec!["create-on", "seal", "labels", "remove-sealed"];
    let mut trials = Vec::new();
    for driver in drivers::NAMES {
        for fault in Fault::ALL {
            let operations = match fault {
                Fault::Kill | Fault::Torn | Fault::Enospc | Fault::EnospcOnce => but_life.clone(),
                Fault::Eio | Fault::Power => all.clone(),
                Fault::Full => vec!["create-on", "apply", "seal"],
                Fault::PowerCommit => durable.clone(),
            };
            trials.push(Trial::test(format!("privileged_{driver}::{fault}"), move || {
                let report = examine(&*drivers::subject(driver), &[fault], &operations)?;
                if report.is_ok() { Ok(()) } else { Err(report.to_table().into()) }
            }));
        }
    }
    trials
}

/// Runs a part of the matrix.
fn examine(subject: &dyn Subject, faults: &[Fault], operations: &[&str]) -> Result<Report, Failed> {
    let operations = operations.iter().map(|name| (*name).to_owned()).collect();
    let choice = Choice { faults: faults.to_vec(), operations, step: None };
    let report = run(subject, &choice, &mut |_| {}).map_err(|error| error.to_string())?;
    if report.totals().0 == 0 && report.is_ok() {
        return Err("nothing was tried".into());
    }
    Ok(report)
}
