use std::path::Path;

use clap::Args;
use driver_conformance::{Opener, Report, memory};

use crate::{
    cli::Common,
    commands::print,
    drivers::{self, Options},
    failure::{Failure, Result},
    place::Place,
    say,
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
    /// How to print
    #[arg(long, default_value = "table", value_parser = ["table", "json", "junit"])]
    pub format: String,
}

/// The model that the others are held against; it is no driver of the table, since it keeps nothing.
const MODEL: &str = "memory";

pub fn run(args: &ConformanceArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let scratch = drivers::scratch(&place)?;
    let filter = args.case.as_deref().unwrap_or("");
    let mut report = Report { cases: Vec::new() };
    if args.driver.iter().any(|name| name == MODEL) {
        report.extend(driver_conformance::run(&memory(), filter));
    } else {
        let choice = drivers::choose(&args.driver)?;
        for entry in choice.entries {
            match entry.try_out(&scratch.path().join("trial")) {
                Ok(_) => {}
                Err(error) if choice.all => {
                    say(&format!("{} cannot run here: {error}", entry.name));
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let open = |root: &Path| entry.open(root, &Options::new());
            report.extend(driver_conformance::run(&Opener::new(entry.name, open).below(scratch.path()), filter));
        }
        if choice.all {
            for (name, why) in drivers::absent() {
                say(&format!("{name} cannot run here: {why}"));
            }
        }
    }
    if report.cases.is_empty() {
        return Err(Failure::usage(format!("no case has {filter:?} in its name")));
    }
    let text = match args.format.as_str() {
        "json" => report.to_json(),
        "junit" => report.to_junit(),
        _ => report.to_table(),
    };
    print(&text)?;
    if report.is_ok() { Ok(()) } else { Err(Failure::failed(format!("{} cases failed", report.counts().failed))) }
}
