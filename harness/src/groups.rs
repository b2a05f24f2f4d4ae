//! Docker's groups of commands: other names for the same.

use clap::Subcommand;

use crate::{
    cli::Command,
    commands::{
        build,
        container::{
            AttachArgs, commit, cp, create, diff, exec, export, inspect, kill, logs, pause, port, ps, rename, restart,
            rm, run, start, stats, stop, top, update, wait,
        },
        df, history, images, import, info, prune, rmi, transfer,
    },
};

/// `container ...`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ContainerCommand {
    /// Connect to a container that runs in the background
    Attach(AttachArgs),
    /// Make an image of a container's changes
    Commit(commit::CommitArgs),
    /// Copy files between a container and here
    Cp(cp::CpArgs),
    /// Make a container without starting it
    Create(create::CreateArgs),
    /// List what a container changed in its files
    Diff(diff::DiffArgs),
    /// Run a command in a running container
    Exec(exec::ExecArgs),
    /// Write a container's files as a tar
    Export(export::ExportArgs),
    /// Tell all that is known of containers
    Inspect(inspect::InspectArgs),
    /// Send a signal to containers
    Kill(kill::KillArgs),
    /// Show what a container wrote
    Logs(logs::LogsArgs),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::PsArgs),
    /// Freeze all processes of containers
    Pause(pause::PauseArgs),
    /// Show the ports of a container that are published
    Port(port::PortArgs),
    /// Remove all containers that do not run
    Prune(prune::ContainersArgs),
    /// Give a container another name
    Rename(rename::RenameArgs),
    /// Stop containers and start them again
    Restart(restart::RestartArgs),
    /// Remove containers
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// Run a command in a new container
    Run(run::RunArgs),
    /// Start containers that have ended, or were only made
    Start(start::StartArgs),
    /// Show what running containers use
    Stats(stats::StatsArgs),
    /// Stop containers: ask them to end, and make them after a time
    Stop(stop::StopArgs),
    /// Show the processes of a running container
    Top(top::TopArgs),
    /// Let frozen containers go on
    Unpause(pause::PauseArgs),
    /// Change the limits of containers, also while they run, and when they are started again
    Update(update::UpdateArgs),
    /// Wait until containers have ended, and print their exit statuses
    Wait(wait::WaitArgs),
}

impl From<ContainerCommand> for Command {
    fn from(command: ContainerCommand) -> Self {
        match command {
            ContainerCommand::Attach(args) => Self::Attach(args),
            ContainerCommand::Commit(args) => Self::Commit(args),
            ContainerCommand::Cp(args) => Self::Cp(args),
            ContainerCommand::Create(args) => Self::Create(args),
            ContainerCommand::Diff(args) => Self::Diff(args),
            ContainerCommand::Exec(args) => Self::Exec(args),
            ContainerCommand::Export(args) => Self::Export(args),
            ContainerCommand::Inspect(args) => Self::Inspect(args.of("container")),
            ContainerCommand::Kill(args) => Self::Kill(args),
            ContainerCommand::Logs(args) => Self::Logs(args),
            ContainerCommand::Ls(args) => Self::Ps(args),
            ContainerCommand::Pause(args) => Self::Pause(args),
            ContainerCommand::Port(args) => Self::Port(args),
            ContainerCommand::Prune(args) => Self::PruneContainers(args),
            ContainerCommand::Rename(args) => Self::Rename(args),
            ContainerCommand::Restart(args) => Self::Restart(args),
            ContainerCommand::Rm(args) => Self::Rm(args),
            ContainerCommand::Run(args) => Self::Run(args),
            ContainerCommand::Start(args) => Self::Start(args),
            ContainerCommand::Stats(args) => Self::Stats(args),
            ContainerCommand::Stop(args) => Self::Stop(args),
            ContainerCommand::Top(args) => Self::Top(args),
            ContainerCommand::Unpause(args) => Self::Unpause(args),
            ContainerCommand::Update(args) => Self::Update(args),
            ContainerCommand::Wait(args) => Self::Wait(args),
        }
    }
}

/// `image ...`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it becomes a command at once")]
pub enum ImageCommand {
    /// Build an image from a Dockerfile
    Build(build::BuildArgs),
    /// Show the instructions and layers of an image
    History(history::HistoryArgs),
    /// Make an image from the tar of a root file system
    Import(import::ImportArgs),
    /// Tell all that is known of images
    Inspect(inspect::InspectArgs),
    /// Load images from an archive
    Load(transfer::load::LoadArgs),
    /// List images
    #[command(visible_alias = "list")]
    Ls(images::ImagesArgs),
    /// Remove images without a name that no container was made from
    Prune(prune::ImagesArgs),
    /// Take an image from a registry, a layout or an archive
    Pull(transfer::pull::PullArgs),
    /// Give an image to a registry, or write it as a layout or an archive
    Push(transfer::push::PushArgs),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(rmi::RmiArgs),
    /// Write images to an archive
    Save(transfer::save::SaveArgs),
    /// Give an image another name
    Tag(transfer::tag::TagArgs),
}

impl From<ImageCommand> for Command {
    fn from(command: ImageCommand) -> Self {
        match command {
            ImageCommand::Build(args) => Self::Build(args),
            ImageCommand::History(args) => Self::History(args),
            ImageCommand::Import(args) => Self::Import(args),
            ImageCommand::Inspect(args) => Self::Inspect(args.of("image")),
            ImageCommand::Load(args) => Self::Load(args),
            ImageCommand::Ls(args) => Self::Images(args),
            ImageCommand::Prune(args) => Self::PruneImages(args),
            ImageCommand::Pull(args) => Self::Pull(args),
            ImageCommand::Push(args) => Self::Push(args),
            ImageCommand::Rm(args) => Self::Rmi(args),
            ImageCommand::Save(args) => Self::Save(args),
            ImageCommand::Tag(args) => Self::Tag(args),
        }
    }
}

/// `builder ...`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it becomes a command at once")]
pub enum BuilderCommand {
    /// Build an image from a Dockerfile
    Build(build::BuildArgs),
    /// Remove the build cache that no image shares
    Prune(prune::BuilderArgs),
}

impl From<BuilderCommand> for Command {
    fn from(command: BuilderCommand) -> Self {
        match command {
            BuilderCommand::Build(args) => Self::Build(args),
            BuilderCommand::Prune(args) => Self::PruneBuilder(args),
        }
    }
}

/// `system ...`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum SystemCommand {
    /// Tell what images, containers, volumes and the build cache take
    Df(df::DfArgs),
    /// Tell what is kept here, with which storage driver, and on what kind of host
    Info(info::InfoArgs),
    /// Remove what is not used: containers, images, the build cache
    Prune(prune::SystemArgs),
}

impl From<SystemCommand> for Command {
    fn from(command: SystemCommand) -> Self {
        match command {
            SystemCommand::Df(args) => Self::Df(args),
            SystemCommand::Info(args) => Self::Info(args),
            SystemCommand::Prune(args) => Self::PruneSystem(args),
        }
    }
}
