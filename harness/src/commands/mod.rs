//! One file a subcommand: its arguments and what it does.

pub mod bench;
pub mod build;
pub mod compare;
pub mod conformance;
pub mod doctor;
pub mod faults;
pub mod gc;
pub mod history;
pub mod images;
pub mod import;
pub mod keeps;
pub mod lab;
pub mod list;
pub mod migrate;
pub mod profile;
pub mod ps;
pub mod report;
pub mod rm;
pub mod rmi;
pub mod run;
pub mod transfer;

use std::io::{self, Write};

use crate::{
    cli::{Cli, Command},
    failure::Result,
    log_to_stderr, privileges,
};

/// Runs what the command line asks for.
pub fn run(cli: Cli) -> Result {
    let command = cli.command.unwrap_or(Command::Bench(cli.bench));
    log_to_stderr(common(&command).verbose);
    if needs_mounts(&command) {
        privileges::acquire()?;
    }
    match command {
        Command::Bench(args) => bench::run(&args),
        Command::List(args) => list::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Faults(args) => faults::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Images(args) => images::run(&args),
        Command::Import(args) => import::run(&args),
        Command::History(args) => history::run(&args),
        Command::Pull(args) => transfer::pull::run(&args),
        Command::Push(args) => transfer::push::run(&args),
        Command::Load(args) => transfer::load::run(&args),
        Command::Save(args) => transfer::save::run(&args),
        Command::Tag(args) => transfer::tag::run(&args),
        Command::Rmi(args) => rmi::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Ps(args) => ps::run(&args),
        Command::Rm(args) => rm::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Migrate(args) => migrate::run(&args),
    }
}

/// Reading records needs no privilege; everything that opens a driver may mount.
fn needs_mounts(command: &Command) -> bool {
    if let Command::Load(args) = command {
        return args.driver.is_some();
    }
    !matches!(
        command,
        Command::Compare(_)
            | Command::Report(_)
            | Command::Lab(_)
            | Command::Ps(_)
            | Command::Images(_)
            | Command::History(_)
            | Command::Pull(_)
            | Command::Push(_)
            | Command::Save(_)
            | Command::Tag(_)
    )
}

fn common(command: &Command) -> &crate::cli::Common {
    match command {
        Command::Bench(args) => &args.common,
        Command::List(args) => &args.common,
        Command::Doctor(args) => &args.common,
        Command::Conformance(args) => &args.common,
        Command::Compare(args) => &args.common,
        Command::Report(args) => &args.common,
        Command::Faults(args) => &args.common,
        Command::Build(args) => &args.common,
        Command::Run(args) => &args.common,
        Command::Images(args) => &args.common,
        Command::Import(args) => &args.common,
        Command::History(args) => &args.common,
        Command::Pull(args) => &args.common,
        Command::Push(args) => &args.common,
        Command::Load(args) => &args.common,
        Command::Save(args) => &args.common,
        Command::Tag(args) => &args.common,
        Command::Rmi(args) => &args.common,
        Command::Profile(args) => &args.common,
        Command::Ps(args) => &args.common,
        Command::Rm(args) => &args.common,
        Command::Gc(args) => &args.common,
        Command::Lab(args) => &args.common,
        Command::Migrate(args) => &args.common,
    }
}

/// Writes what was asked for to standard output; a reader that went away (`| head -1`) is no failure.
pub fn print(text: &str) -> Result {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
