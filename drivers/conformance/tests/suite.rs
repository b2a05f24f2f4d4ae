//! Every case on every driver: as root, and again in user namespaces; and held mounts among processes.
//!
//! Environment: `CONFORMANCE_SEED` and `CONFORMANCE_RUNS` replay or lengthen the property test.
#![allow(clippy::print_stdout, reason = "what is left out is said")]

mod holders;
mod subjects;
mod userns;

use std::process::ExitCode;

use driver_conformance::{Case, Outcome, cases, property, run_case};
use libtest_mimic::{Arguments, Failed, Trial};

use subjects::{Place, Target, targets};

fn main() -> ExitCode {
    if let Some(name) = userns::asked_to_run() {
        return userns::report(run_named(&name));
    }
    if let Some(ended) = holders::asked_to_hold(&targets()) {
        return ended;
    }
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = targets().into_iter().flat_map(trials_of).collect();
    trials.extend(holders::trials(&targets()));
    // Named, and never run.
    trials.extend(subjects::left_out().map(|name| Trial::test(name, || Ok(())).with_ignored_flag(true)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    subjects::take_away();
    conclusion.exit_code()
}

fn trials_of(target: Target) -> Vec<Trial> {
    let mut trials: Vec<Trial> = cases().iter().map(|case| trial(target, case)).collect();
    let name = format!("{}::property::random", target.full_name());
    trials.push(Trial::test(name.clone(), move || match target.place {
        Place::Here => random(target).map_err(Failed::from),
        place => userns::run(&name, place).map_err(Failed::from),
    }));
    trials
}

fn trial(target: Target, case: &'static Case) -> Trial {
    let name = format!("{}::{}", target.full_name(), case.full_name());
    Trial::test(name.clone(), move || match target.place {
        Place::Here => one(target, case).map_err(Failed::from),
        place => userns::run(&name, place).map_err(Failed::from),
    })
}

/// Runs a trial by its name, in this very process and namespace.
fn run_named(name: &str) -> Result<(), String> {
    for target in targets() {
        let Some(rest) = name.strip_prefix(&format!("{}::", target.full_name())) else { continue };
        if rest == "property::random" {
            return random(target);
        }
        if let Some(case) = cases().iter().find(|case| case.full_name() == rest) {
            return one(target, case);
        }
    }
    Err(format!("there is no trial called {name}"))
}

fn one(target: Target, case: &Case) -> Result<(), String> {
    match run_case(&*target.subject(), case).outcome {
        Outcome::Passed => Ok(()),
        Outcome::Failed(text) => Err(text),
        Outcome::NotApplicable(why) if target.may_lack(case) => {
            println!("{}::{} is left out: {why}", target.full_name(), case.full_name());
            Ok(())
        }
        Outcome::NotApplicable(why) => Err(format!("this should apply here, and was left out: {why}")),
    }
}

fn random(target: Target) -> Result<(), String> {
    let number = |name: &str, default: u32| match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is no number: {text:?}")),
        Err(_) => Ok(default),
    };
    let (seed, runs) = (number("CONFORMANCE_SEED", 1)?, number("CONFORMANCE_RUNS", 24)?);
    property::run(&*target.subject(), runs, seed.into()).map_err(|found| found.to_string())
}
