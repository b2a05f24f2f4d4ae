use std::{io::IsTerminal, path::Path};

use clap::Args;
use driver_faults::{Choice, Disk, Error, Fault, Opener, Report, Row};
use harness_testbed::FileSystem;
use storage_sys::userns;

use crate::{
    cli::Common,
    commands::print,
    drivers::{self, Entry, Options},
    failure::{Failure, Result},
    say,
};

/// Kill, fill the disk and cut the power at every step of every operation
///
/// Every system call of an operation that changes state is a step, found by tracing it. Each step is tried on a fresh root
/// in memory; then the driver must open, sealed layers must be what they were to the byte, the layer that was acted on
/// must be whole or absent, nothing may be left over, and all space must come back.
#[derive(Debug, Args)]
pub struct FaultsArgs {
    #[command(flatten)]
    pub common: Common,
    /// Drivers: one, several with commas, or all
    #[arg(long, value_name = "NAME[,NAME...]", default_value = "all")]
    pub driver: Vec<String>,
    /// Driver option, such as sync=off; may be given several times
    #[arg(long = "driver-opt", value_name = "NAME=VALUE")]
    pub driver_options: Vec<String>,
    /// Faults, several with commas: kill, torn (in the middle of a write), enospc (from a step on), enospc-once, eio (a
    /// sync fails), full (a disk that really is), power, power-commit (with a journal committed at every step) [default:
    /// all]
    #[arg(long, value_name = "FAULT[,FAULT...]", value_delimiter = ',')]
    pub fault: Vec<String>,
    /// Operations, several with commas, such as create, mount, seal, diff, apply, remove [default: all]
    #[arg(long, value_name = "NAME[,NAME...]", value_delimiter = ',', conflicts_with = "only")]
    pub operation: Vec<String>,
    /// One step alone, as the report names it: seal:7
    #[arg(long, value_name = "OPERATION:STEP")]
    pub only: Option<String>,
    /// How to print
    #[arg(long, default_value = "table", value_parser = ["table", "json", "junit"])]
    pub format: String,
}

pub fn run(args: &FaultsArgs) -> Result {
    if userns::is_active() {
        return Err(Failure::usage("faults are tried with mounts, loop devices and trusted xattrs: run it as root"));
    }
    let wanted = wanted(args)?;
    let options = drivers::options(&args.driver_options)?;
    let choice = drivers::choose(&args.driver)?;
    let mut report = Report::default();
    for entry in choice.entries {
        match examine(entry, &options, &wanted) {
            Ok(found) => report.extend(found),
            Err(error @ Error::Unusable { .. }) if choice.all => say(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let text = match args.format.as_str() {
        "json" => report.to_json(),
        "junit" => report.to_junit(),
        _ => report.to_table(),
    };
    print(&text)?;
    let (tried, _, lost) = report.totals();
    match report.is_ok() {
        true if tried > 0 => Ok(()),
        true => Err(Failure::usage("no step of that kind was met, so nothing was tried")),
        false => Err(Failure::failed(format!("{lost} of {tried} steps lost something"))),
    }
}

fn wanted(args: &FaultsArgs) -> Result<Choice> {
    let faults = args.fault.iter().map(|name| name.parse()).collect::<Result<Vec<Fault>, Error>>();
    let faults = faults.map_err(Failure::usage)?;
    let Some(only) = &args.only else { return Ok(Choice { faults, operations: args.operation.clone(), step: None }) };
    let parsed = only.split_once(':').and_then(|(operation, step)| Some((operation, step.parse().ok()?)));
    let Some((operation, step)) = parsed else {
        return Err(Failure::usage(format!("--only takes OPERATION:STEP, such as seal:7, not {only:?}")));
    };
    Ok(Choice { faults, operations: vec![operation.to_owned()], step: Some(step) })
}

fn examine(entry: &Entry, options: &Options, wanted: &Choice) -> Result<Report, Error> {
    let options = entry.on_a_small_disk(options);
    let subject = Opener::new(entry.name, |root: &Path| entry.open(root, &options));
    let subject = match entry.file_system {
        Some(FileSystem::Btrfs) => subject.on_disk(Disk::BTRFS),
        Some(FileSystem::Raw) => subject.with_disk(Disk::POOL),
        _ => subject,
    };
    // Lines and no bar: that would need a thread, and trials are forked from a process that has one.
    let done = &mut |row: &Row| match std::io::stderr().is_terminal() {
        true => say(&row.to_string()),
        false => tracing::info!("{row}"),
    };
    driver_faults::run(&subject, wanted, done)
}
