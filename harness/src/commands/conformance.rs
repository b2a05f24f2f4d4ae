use std::{num::NonZero, path::PathBuf, thread::available_parallelism};

use clap::Args;
use driver_conformance::{Filter, Report, Subject, equality, memory};

use crate::{
    bed::Bed,
    cli::Common,
    commands::{keeps, print},
    drivers,
    failure::{Failure, Result},
    place::Place,
    say, signals,
};

/// Run the conformance suite on drivers
#[derive(Debug, Args)]
pub struct ConformanceArgs {
    #[command(flatten)]
    pub common: Common,
    /// Drivers: one, several with commas, or all
    #[arg(long, value_name = "NAME[,NAME...]", default_value = "all")]
    pub driver: Vec<String>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub case: Option<String>,
    /// No case whose name contains this; can be given several times
    #[arg(long, value_name = "TEXT")]
    pub skip: Vec<String>,
    /// How to print
    #[arg(long, default_value = "table", value_parser = ["table", "json", "junit"])]
    pub format: String,
    /// Instead of the cases, try out what each driver keeps of what a file system can do, and print it as a Markdown table,
    /// or write it between the marks of a document
    #[arg(long, value_name = "DOCUMENT", num_args = 0..=1, conflicts_with_all = ["case", "skip", "format"])]
    pub keeps: Option<Option<PathBuf>>,
}

/// The model that the others are held against; it is no driver of the table, since it keeps nothing.
const MODEL: &str = "memory";

/// The operations that all drivers are compared by.
const EQUALITY_SEED: u64 = 1;

pub fn run(args: &ConformanceArgs) -> Result {
    if let Some(document) = &args.keeps {
        return keeps::run(args, document.as_deref());
    }
    let filter = Filter { only: args.case.as_deref().unwrap_or(""), skip: &args.skip };
    let stop = signals::stop_flag()?;
    let go_on = || !signals::stopped(&stop);
    let mut report = Report { cases: Vec::new() };
    if args.driver.iter().any(|name| name == MODEL) {
        report.extend(driver_conformance::run(&[&memory()], filter, jobs(), &go_on));
    } else {
        report.extend(examine(args, filter, &go_on)?);
    }
    if !go_on() {
        return Err(Failure::Status(130, Some(anyhow::anyhow!("stopped; nothing is left behind"))));
    }
    if report.cases.is_empty() {
        return Err(Failure::usage(format!("no case has {:?} in its name that is not skipped", filter.only)));
    }
    let text = match args.format.as_str() {
        "json" => report.to_json(),
        "junit" => report.to_junit(),
        _ => report.to_table(),
    };
    print(&text)?;
    if report.is_ok() { Ok(()) } else { Err(Failure::failed(format!("{} cases failed", report.counts().failed))) }
}

fn jobs() -> NonZero<usize> {
    available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Every driver on its own, then all against each other.
fn examine(args: &ConformanceArgs, filter: Filter<'_>, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Report> {
    let place = Place::choose(args.common.root.as_deref());
    let choice = drivers::choose(&args.driver)?;
    let mut beds = Vec::new();
    for entry in choice.entries {
        let bed = Bed::here(&place, entry);
        match bed.and_then(|bed| bed.try_out(entry).map(|()| bed).map_err(Failure::from)) {
            Ok(bed) => beds.push((entry, bed)),
            Err(error) if choice.all => say(&format!("{} cannot run here: {error}", entry.name)),
            Err(error) => return Err(error),
        }
    }
    let subjects: Vec<_> = beds.iter().map(|(entry, bed)| bed.subject(entry)).collect();
    let subjects: Vec<&dyn Subject> = subjects.iter().map(|subject| subject as &dyn Subject).collect();
    let mut report = driver_conformance::run(&subjects, filter, jobs(), go_on);
    if go_on() {
        report.extend(equality::run(&subjects, EQUALITY_SEED, filter));
    }
    for (_, bed) in beds {
        bed.close()?;
    }
    Ok(report)
}
