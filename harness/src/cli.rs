//! The command line: one type a command, its help its doc comments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    bench, build, compare, conformance,
    container::{
        AttachArgs, commit, cp, create, diff, exec, export, inspect, kill, logs, pause, ps, rename, restart, rm, run,
        start, stats, stop, supervise, top, volume, wait,
    },
    doctor, faults, gc, history, images, import, lab, list, migrate, profile, report, rmi, transfer,
};

/// Measures what copy-on-write costs: runs identical container-layer workloads on each storage driver.
///
/// Without a command name, `bench` is meant: harness --driver overlay2 --workload build
#[derive(Debug, Parser)]
#[command(name = "harness", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub bench: bench::BenchArgs,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
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

#[derive(Debug, Subcommand)]
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
    /// Tell all that is known of containers and images
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
}
