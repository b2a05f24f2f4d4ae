//! One file a subcommand: its arguments and what it does.

pub mod bench;
pub mod build;
mod change;
pub mod compare;
pub mod conformance;
pub mod container;
pub mod df;
pub mod doctor;
pub mod faults;
mod filters;
mod format;
pub mod gc;
pub mod history;
pub mod images;
pub mod import;
pub mod info;
pub mod keeps;
pub mod lab;
pub mod list;
pub mod migrate;
pub mod profile;
pub mod prune;
pub mod report;
pub mod rmi;
pub mod transfer;
pub mod version;

use std::io::{self, Write};

use crate::{
    cli::{Command, common},
    failure::Result,
    log_to_stderr,
    place::Place,
    privileges,
};

/// Runs what the command line asks for.
pub fn run(mut command: Command) -> Result {
    let common = common(&mut command).cloned().unwrap_or_default();
    log_to_stderr(common.verbose);
    if needs_mounts(&command) {
        privileges::acquire(&Place::choose(common.root.as_deref()))?;
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
        Command::Run(args) => container::run::run(&args),
        Command::Create(args) => container::create::run(&args),
        Command::Start(args) => container::start::run(&args),
        Command::Stop(args) => container::stop::run(&args),
        Command::Restart(args) => container::restart::run(&args),
        Command::Kill(args) => container::kill::run(&args),
        Command::Pause(args) => container::pause::pause(&args),
        Command::Unpause(args) => container::pause::unpause(&args),
        Command::Wait(args) => container::wait::run(&args),
        Command::Exec(args) => container::exec::run(&args),
        Command::Attach(args) => container::attach(&args),
        Command::Logs(args) => container::logs::run(&args),
        Command::Top(args) => container::top::run(&args),
        Command::Stats(args) => container::stats::run(&args),
        Command::Inspect(args) => container::inspect::run(&args),
        Command::Rename(args) => container::rename::run(&args),
        Command::Cp(args) => container::cp::run(&args),
        Command::Diff(args) => container::diff::run(&args),
        Command::Commit(args) => container::commit::run(&args),
        Command::Export(args) => container::export::run(&args),
        Command::Volume(args) => container::volume::run(args),
        Command::Supervise(args) => container::supervise::run(&args),
        Command::Images(args) => images::run(&args),
        Command::Import(args) => import::run(&args),
        Command::History(args) => history::run(&args),
        Command::Pull(args) => transfer::pull::run(&args),
        Command::Push(args) => transfer::push::run(&args),
        Command::Login(args) => transfer::login::run(&args),
        Command::Logout(args) => transfer::logout::run(&args),
        Command::Load(args) => transfer::load::run(&args),
        Command::Save(args) => transfer::save::run(&args),
        Command::Tag(args) => transfer::tag::run(&args),
        Command::Rmi(args) => rmi::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Ps(args) => container::ps::run(&args),
        Command::Rm(args) => container::rm::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Port(args) => container::port::run(&args),
        Command::Update(args) => container::update::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Df(args) => df::run(&args),
        Command::PruneContainers(args) => prune::containers(&args),
        Command::PruneImages(args) => prune::images(&args),
        Command::PruneBuilder(args) => prune::builder(&args),
        Command::PruneSystem(args) => prune::system(&args),
        Command::Container(group) => run(group.into()),
        Command::Image(group) => run(group.into()),
        Command::Builder(group) => run(group.into()),
        Command::System(group) => run(group.into()),
        Command::Lab(args) => lab::run(&args),
        Command::Migrate(args) => migrate::run(&args),
    }
}

/// Reading records needs no privilege; everything that opens a driver may mount.
fn needs_mounts(command: &Command) -> bool {
    match command {
        Command::Load(args) => return args.driver.is_some(),
        Command::Ps(args) => return args.opens_drivers(),
        Command::Inspect(args) => return args.size,
        _ => {}
    }
    !matches!(
        command,
        Command::Compare(_)
            | Command::Report(_)
            | Command::Lab(_)
            | Command::Stop(_)
            | Command::Kill(_)
            | Command::Pause(_)
            | Command::Unpause(_)
            | Command::Wait(_)
            | Command::Logs(_)
            | Command::Port(_)
            | Command::Version(_)
            | Command::Rename(_)
            | Command::Images(_)
            | Command::History(_)
            | Command::Pull(_)
            | Command::Push(_)
            | Command::Login(_)
            | Command::Logout(_)
            | Command::Save(_)
            | Command::Tag(_)
    )
}

/// Writes what was asked for to standard output; a reader that went away (`| head -1`) is no failure.
pub fn print(text: &str) -> Result {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
