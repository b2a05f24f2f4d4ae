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

/// Some operations under some faults on each driver; all of it takes minutes, and is what `harness faults` runs.
const PARTS: &[(&str, &[Fault], &[&str])] = &[
    ("overlay2", &[Fault::Kill, Fault::Enospc], &["recover", "seal"]),
    ("overlay2", &[Fault::Full, Fault::Power], &["seal"]),
    ("vfs", &[Fault::Kill, Fault::Eio], &["seal"]),
    ("btrfs", &[Fault::Kill], &["create-on", "seal"]),
    ("btrfs-limits", &[Fault::Kill, Fault::Enospc], &["create-limited"]),
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
