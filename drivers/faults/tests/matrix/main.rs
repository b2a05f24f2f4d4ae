//! The matrix on every driver, and on drivers that are careless on purpose, which it must find out.
//!
//! One after the other on the main thread: trials are forked, and only a process with one thread may be.

mod careless;
mod drivers;
mod seam;

use std::process::ExitCode;

use driver_faults::{Choice, Fault, Report, Subject, run};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = [seam::trials(), careless::trials(), matrix()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Operations that between them do everything that a driver does; the longest, which do it all again, are left to
/// `harness faults`.
const EACH: &[&str] = &["recover", "create-on", "mount", "hold", "apply-on", "seal", "labels", "remove-sealed"];

/// What must be durable when it has returned.
const DURABLE: &[&str] = &["seal", "labels", "remove-sealed"];

/// Every step of these operations under these faults.
const PARTS: &[(&str, &[Fault], &[&str])] = &[
    ("overlay2", &[Fault::Kill, Fault::Enospc], EACH),
    ("overlay2", &[Fault::Torn, Fault::EnospcOnce, Fault::Eio], DURABLE),
    ("overlay2", &[Fault::Full], &["apply-on", "seal"]),
    ("overlay2", &[Fault::Power], EACH),
    ("overlay2", &[Fault::PowerCommit], &["create-on", "seal"]),
    ("vfs", &[Fault::Kill, Fault::Enospc], EACH),
    ("vfs", &[Fault::Torn, Fault::EnospcOnce, Fault::Eio], DURABLE),
    ("vfs", &[Fault::Full], &["create-on"]),
    ("vfs", &[Fault::Power], DURABLE),
    ("btrfs", &[Fault::Kill, Fault::Enospc], &["recover", "create-on", "hold", "seal", "remove-sealed"]),
    ("btrfs", &[Fault::Eio, Fault::Power], &["seal"]),
];

fn matrix() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (driver, faults, operations) in PARTS {
        for fault in *faults {
            trials.push(Trial::test(format!("privileged_{driver}::{fault}"), move || {
                let report = examine(&*drivers::subject(driver), &[*fault], operations)?;
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
