//! The command line: one type a command, its help its doc comments.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};

use crate::commands::{
    bench, build, compare, conformance,
    container::{
        AttachArgs, commit, cp, create, diff, exec, export, inspect, kill, logs, pause, port, ps, rename, restart, rm,
        run, start, stats, stop, supervise, top, update, volume, wait,
    },
    df, doctor, faults, gc, history, images, import, info, lab, list, migrate, profile, prune, report, rmi, transfer,
    version,
};
use crate::groups::{BuilderCommand, ContainerCommand, ImageCommand, SystemCommand};

/// Measures what copy-on-write costs: runs identical container-layer workloads on each storage driver.
///
/// Without a command name, `bench` is meant: harness --driver overlay2 --workload build
#[derive(Debug, Parser)]
#[command(name = "harness", version, override_usage = USAGE)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    bench: bench::BenchArgs,
}

const USAGE: &str = "harness [OPTIONS]\n       harness [--root DIR] [--verbose] <COMMAND> [OPTIONS]";

impl Cli {
    /// What the words ask for, the program's name first. Common options may stand before the command, too.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Command, clap::Error> {
        let mut syntax = Self::command();
        let matches = syntax.try_get_matches_from_mut(words)?;
        if let Some((command, _)) = matches.subcommand()
            && let Some(option) = misplaced(&syntax, &matches)
        {
            let takes = syntax.find_subcommand(command).is_some_and(|command| has(command, option));
            let message = if takes {
                format!("--{option} belongs behind the command: harness {command} --{option} ...")
            } else {
                format!("--{option} is no option of {command}, but of `harness bench`")
            };
            return Err(syntax.error(ErrorKind::ArgumentConflict, message));
        }
        let Self { command, bench } = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut syntax))?;
        let Some(command) = command else { return Ok(Command::Bench(bench)) };
        let mut command = command.plain();
        if let Some(common) = common(&mut command) {
            common.root = common.root.take().or(bench.common.root);
            common.verbose = common.verbose.saturating_add(bench.common.verbose);
        }
        Ok(command)
    }
}

/// An option that was given before the command and is not one of those that all commands take.
fn misplaced<'a>(syntax: &'a clap::Command, matches: &ArgMatches) -> Option<&'a str> {
    let given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    let common = Common::augment_args(clap::Command::new(""));
    let of_bench =
        syntax.get_arguments().filter(|arg| common.get_arguments().all(|other| other.get_id() != arg.get_id()));
    let mut named = of_bench.filter(|arg| given(arg.get_id().as_str()));
    named.find_map(clap::Arg::get_long)
}

fn has(command: &clap::Command, option: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(option))
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Where images, layers and containers are kept [default: /var/lib/harness as root, else
    /// $XDG_DATA_HOME/harness]
    #[arg(long, value_name = "DIR", help_heading = "Common options")]
    pub root: Option<PathBuf>,
    /// Log what the drivers do, to standard error; HARNESS_LOG takes a tracing filter
    #[arg(long, action = clap::ArgAction::Count, help_heading = "Common options")]
    pub verbose: u8,
}

/// What every command takes that works on one driver.
#[derive(Debug, Clone, Args)]
pub struct OneDriver {
    /// Storage driver [default: overlay2 where it works, else vfs]
    #[arg(long, value_name = "NAME")]
    pub driver: Option<String>,
    /// Driver option, such as metacopy=on or copy=reflink; may be given several times
    #[arg(long = "driver-opt", value_name = "NAME=VALUE")]
    pub driver_options: Vec<String>,
}

/// Each command's arguments are put together when it is given: all of them take a tenth of a short command's time.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Run workloads on drivers and write a run directory
    Bench(bench::BenchArgs),
    /// List drivers (usable here, or why not) and workloads with their parameters
    List(list::ListArgs),
    /// Tell what this host has: kernel, file systems, tools, and which drivers can run
    Doctor(doctor::DoctorArgs),
    /// Run the conformance suite on drivers
    Conformance(conformance::ConformanceArgs),
    /// Kill, fill the disk and cut the power at every step of every operation
    Faults(faults::FaultsArgs),
    /// Fail when a run costs more than another
    Compare(compare::CompareArgs),
    /// Tell what runs found, on one HTML page
    Report(report::ReportArgs),
    /// Tell what each instruction of a Dockerfile costs, and what to change
    Profile(profile::ProfileArgs),
    /// Build an image from a Dockerfile
    Build(build::BuildArgs),
    /// Run a command in a new container
    Run(run::RunArgs),
    /// Make a container without starting it
    Create(create::CreateArgs),
    /// Start containers that have ended, or were only made
    Start(start::StartArgs),
    /// Stop containers: ask them to end, and make them after a time
    Stop(stop::StopArgs),
    /// Stop containers and start them again
    Restart(restart::RestartArgs),
    /// Send a signal to containers
    Kill(kill::KillArgs),
    /// Freeze all processes of containers
    Pause(pause::PauseArgs),
    /// Let frozen containers go on
    Unpause(pause::PauseArgs),
    /// Wait until containers have ended, and print their exit statuses
    Wait(wait::WaitArgs),
    /// Run a command in a running container
    Exec(exec::ExecArgs),
    /// Connect to a container that runs in the background
    Attach(AttachArgs),
    /// Show what a container wrote
    Logs(logs::LogsArgs),
    /// Show the processes of a running container
    Top(top::TopArgs),
    /// Show what running containers use
    Stats(stats::StatsArgs),
    /// Show the ports of a container that are published
    Port(port::PortArgs),
    /// Tell all that is known of containers, images and volumes
    Inspect(inspect::InspectArgs),
    /// Copy files between a container and here
    Cp(cp::CpArgs),
    /// List what a container changed in its files
    Diff(diff::DiffArgs),
    /// Make an image of a container's changes
    Commit(commit::CommitArgs),
    /// Write a container's files as a tar
    Export(export::ExportArgs),
    /// Give a container another name
    Rename(rename::RenameArgs),
    /// Change the limits of containers, also while they run, and when they are started again
    Update(update::UpdateArgs),
    /// Make, list and remove volumes
    Volume(volume::VolumeArgs),
    /// Look after a container in the background
    #[command(hide = true)]
    Supervise(supervise::SuperviseArgs),
    /// List images
    Images(images::ImagesArgs),
    /// Make an image from the tar of a root file system
    Import(import::ImportArgs),
    /// Show the instructions and layers of an image
    History(history::HistoryArgs),
    /// Take an image from a registry, a layout or an archive
    Pull(transfer::pull::PullArgs),
    /// Give an image to a registry, or write it as a layout or an archive
    Push(transfer::push::PushArgs),
    /// Log in to a registry
    Login(transfer::login::LoginArgs),
    /// Log out of a registry
    Logout(transfer::logout::LogoutArgs),
    /// Load images from an archive
    Load(transfer::load::LoadArgs),
    /// Write images to an archive
    Save(transfer::save::SaveArgs),
    /// Give an image another name
    Tag(transfer::tag::TagArgs),
    /// Remove images
    Rmi(rmi::RmiArgs),
    /// List containers
    Ps(ps::PsArgs),
    /// Remove containers
    Rm(rm::RmArgs),
    /// Move images' layers and containers from one storage driver to another, and verify them
    Migrate(migrate::MigrateArgs),
    /// Run any harness command in a virtual machine on another kernel
    Lab(lab::LabArgs),
    /// Remove what a crash left behind
    Gc(gc::GcArgs),
    /// Tell what is kept here, with which storage driver, and on what kind of host
    Info(info::InfoArgs),
    /// Tell the version of this program
    Version(version::VersionArgs),
    /// Docker's other names for the commands on containers, and `prune`
    #[command(subcommand)]
    Container(ContainerCommand),
    /// Docker's other names for the commands on images, and `prune`
    #[command(subcommand)]
    Image(ImageCommand),
    /// Docker's other name for `build`, and `prune` for its cache
    #[command(subcommand)]
    Builder(BuilderCommand),
    /// What takes room, and what of it is not used: df, info, prune
    #[command(subcommand)]
    System(SystemCommand),
    #[command(skip)]
    Df(df::DfArgs),
    #[command(skip)]
    PruneContainers(prune::ContainersArgs),
    #[command(skip)]
    PruneImages(prune::ImagesArgs),
    #[command(skip)]
    PruneBuilder(prune::BuilderArgs),
    #[command(skip)]
    PruneSystem(prune::SystemArgs),
}

impl Command {
    /// The same without its group.
    fn plain(self) -> Self {
        match self {
            Self::Container(command) => command.into(),
            Self::Image(command) => command.into(),
            Self::Builder(command) => command.into(),
            Self::System(command) => command.into(),
            plain => plain,
        }
    }
}

/// What a command has of the common options; one that only reads files of the user's has none.
pub fn common(command: &mut Command) -> Option<&mut Common> {
    Some(match command {
        Command::Bench(args) => &mut args.common,
        Command::List(args) => &mut args.common,
        Command::Doctor(args) => &mut args.common,
        Command::Conformance(args) => &mut args.common,
        Command::Compare(args) => &mut args.common,
        Command::Report(_) | Command::Login(_) | Command::Logout(_) => return None,
        Command::Faults(args) => &mut args.common,
        Command::Build(args) => &mut args.common,
        Command::Run(args) => &mut args.common,
        Command::Images(args) => &mut args.common,
        Command::Create(args) => &mut args.common,
        Command::Start(args) => &mut args.common,
        Command::Stop(args) => &mut args.common,
        Command::Restart(args) => &mut args.common,
        Command::Kill(args) => &mut args.common,
        Command::Pause(args) => &mut args.common,
        Command::Unpause(args) => &mut args.common,
        Command::Wait(args) => &mut args.common,
        Command::Exec(args) => &mut args.common,
        Command::Attach(args) => &mut args.common,
        Command::Logs(args) => &mut args.common,
        Command::Top(args) => &mut args.common,
        Command::Stats(args) => &mut args.common,
        Command::Inspect(args) => &mut args.common,
        Command::Rename(args) => &mut args.common,
        Command::Cp(args) => &mut args.common,
        Command::Diff(args) => &mut args.common,
        Command::Commit(args) => &mut args.common,
        Command::Export(args) => &mut args.common,
        Command::Supervise(args) => &mut args.common,
        Command::Volume(args) => args.common(),
        Command::Import(args) => &mut args.common,
        Command::History(args) => &mut args.common,
        Command::Pull(args) => &mut args.common,
        Command::Push(args) => &mut args.common,
        Command::Load(args) => &mut args.common,
        Command::Save(args) => &mut args.common,
        Command::Tag(args) => &mut args.common,
        Command::Rmi(args) => &mut args.common,
        Command::Profile(args) => &mut args.common,
        Command::Ps(args) => &mut args.common,
        Command::Rm(args) => &mut args.common,
        Command::Gc(args) => &mut args.common,
        Command::Lab(args) => &mut args.common,
        Command::Migrate(args) => &mut args.common,
        Command::Update(args) => &mut args.common,
        Command::Port(args) => &mut args.common,
        Command::Info(args) => &mut args.common,
        Command::Version(args) => &mut args.common,
        Command::Df(args) => &mut args.common,
        Command::PruneContainers(args) => &mut args.common,
        Command::PruneImages(args) => &mut args.common,
        Command::PruneBuilder(args) => &mut args.common,
        Command::PruneSystem(args) => &mut args.common,
        // They were resolved when they were read.
        Command::Container(_) | Command::Image(_) | Command::Builder(_) | Command::System(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        Cli::read(line.split(' ')).map_err(|error| error.to_string())
    }

    fn root(line: &str) -> Option<PathBuf> {
        common(&mut read(line).unwrap()).unwrap().root.clone()
    }

    #[test]
    fn the_syntax_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn common_options_stand_before_the_command_or_behind_it() {
        for line in [
            "harness --root /x images",
            "harness --root=/x images",
            "harness images --root /x",
            "harness --root /y images --root /x",
            "harness --root /x volume ls",
            "harness --root /x container ls",
            "harness system df --root /x",
            "harness --root /x bench --resume run",
            "harness --root /x --driver vfs",
        ] {
            assert_eq!(root(line), Some("/x".into()), "{line}");
        }
        let verbose = common(&mut read("harness --verbose ps --verbose").unwrap()).unwrap().verbose;
        assert_eq!(verbose, 2);
        // What a container is to do is its own.
        assert_eq!(root("harness run --root /x tiny ls --root /y"), Some("/x".into()));
        assert_eq!(root("harness run tiny ls --root /y"), None);
    }

    #[test]
    fn docker_s_groups_are_other_names_for_the_same() {
        for (grouped, plain) in [
            ("container ls -a", "ps -a"),
            ("container list", "ps"),
            ("container rm -f web", "rm -f web"),
            ("container run -it tiny ls -l", "run -it tiny ls -l"),
            ("container exec web ls -l", "exec web ls -l"),
            ("container inspect web", "inspect --type container web"),
            ("image ls --digests", "images --digests"),
            ("image rm tiny", "rmi tiny"),
            ("image build .", "build ."),
            ("builder build .", "build ."),
            ("image inspect tiny", "inspect --type image tiny"),
            ("system info", "info"),
        ] {
            let read = |line: &str| format!("{:?}", read(&format!("harness {line}")).unwrap());
            assert_eq!(read(grouped), read(plain), "{grouped}");
        }
        assert!(read("harness container lss").unwrap_err().contains("ls"));
    }

    #[test]
    fn other_options_before_a_command_are_refused_with_where_they_belong() {
        let refused = |line: &str| read(line).unwrap_err();
        assert!(refused("harness --driver vfs build .").contains("harness build --driver ..."));
        assert!(refused("harness --quick report run").contains("--quick is no option of report"));
        assert!(refused("harness biuld .").contains("build"));
    }

    #[test]
    fn who_keeps_nothing_has_no_place_to_keep_it() {
        assert!(read("harness report --root /x run").unwrap_err().contains("--root"));
        assert!(common(&mut read("harness --root /x report run").unwrap()).is_none());
    }
}
