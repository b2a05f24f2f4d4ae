//! Set-up and checks of this workspace: `cargo xtask setup`, `cargo xtask test`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to a person")]

mod checks;
mod gate;
mod lab;
mod leftovers;
mod packages;
mod peers;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::Parser;

/// Set-up and checks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Installs the Debian packages that the tests use (as root, where apt is), else prints their names; and DuckDB, from PyPI.
    Setup,
    /// Runs everything that must hold: format, clippy, docs, all tests, a smoke run of the main job, the gate, its seeded faults,
    /// the lab, and beside it the fault matrix.
    Test,
    /// Holds what this tree's counters are against the reference run of this machine's fingerprint in results/reference.
    Gate {
        /// Measure many rounds and keep them as the reference instead: what a change is meant to cost belongs into its commit
        #[arg(long)]
        record: bool,
        /// Try the gate out instead: it must catch each seeded fault that needs neither pairs nor device-mapper
        #[arg(long, conflicts_with = "record")]
        faults: bool,
    },
    /// Gives this engine and docker, podman and containerd the same work side by side, and says how they compare (as root).
    Peers(peers::Args),
    /// Runs in virtual machines what needs another kernel than this one: the tests of devicemapper (also beside udev), overlay2
    /// and btrfs, those of networks and of the runtime's limits, Dockerfiles of the corpus, the conformance suite and the main
    /// job for all four drivers, what devicemapper keeps against docs/drivers.md, steps of devicemapper's faults, the seeded
    /// fault that only devicemapper can have, a migration; or any command in one, after --. `test` leaves out what it has tried of
    /// overlay2, vfs and btrfs on this kernel.
    Lab {
        /// Kernel to boot: a path, or a version such as 6.1 [default: 6.1, for a command the newest installed one]
        #[arg(long, value_name = "PATH|VERSION")]
        kernel: Option<String>,
        /// A command instead
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(&Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Setup => packages::ensure(),
        Command::Test => {
            packages::ensure()?;
            checks::all()
        }
        Command::Gate { faults: true, .. } => gate::faults(),
        Command::Gate { record: true, .. } => gate::record(),
        Command::Gate { .. } => gate::check(),
        Command::Peers(args) => peers::run(args),
        Command::Lab { kernel, command } if command.is_empty() => {
            packages::ensure()?;
            lab::all(kernel.as_deref(), lab::Extent::Whole)
        }
        Command::Lab { kernel, command } => lab::run(kernel.as_deref(), command.clone()),
    }
}
