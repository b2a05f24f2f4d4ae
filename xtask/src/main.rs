//! Set-up and checks of this workspace: `cargo xtask setup`, `cargo xtask test`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that talks to a person")]

mod checks;
mod leftovers;
mod packages;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Set-up and checks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Installs the Debian packages that the tests use (as root, where apt is), else prints their names.
    Setup,
    /// Runs everything that must hold: format, clippy, docs, all tests, and a smoke run of the main job.
    Test,
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
    }
}
