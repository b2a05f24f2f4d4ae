//! A benchmark and test harness for container storage drivers; see the README.
#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "the doc comments of arguments are help texts, where brackets mean what may be left out"
)]

mod bed;
mod cli;
mod commands;
mod containers;
mod drivers;
mod engine;
mod failure;
mod groups;
mod names;
mod nearest;
mod place;
mod privileges;
mod progress;
mod scratch;
mod signals;
mod size;
mod table;
mod template;

use std::process::ExitCode;

use failure::Failure;
use harness_runtime::Role;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

fn main() -> ExitCode {
    // A container's init is this program again: it must do nothing else first.
    harness_runtime::init_or_role_if_asked(&[Role {
        name: harness_database::ROLE,
        run: harness_database::work_if_asked,
    }]);
    let command = match cli::Cli::read(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    // What the panic was about is on standard error already.
    let panicked = |_| Err(Failure::Internal(anyhow::anyhow!("this is a mistake of the harness; please report it")));
    match std::panic::catch_unwind(|| commands::run(command)).unwrap_or_else(panicked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            failure.exit_code()
        }
    }
}

/// One line on standard error, where people look and pipes do not.
#[allow(clippy::print_stderr, reason = "the program's own voice")]
fn say(line: &str) {
    if !line.is_empty() {
        eprintln!("harness: {line}");
    }
}

/// Warnings are always shown; `--verbose` adds what the drivers do, twice everything.
fn log_to_stderr(verbose: u8) {
    let level = [LevelFilter::WARN, LevelFilter::DEBUG, LevelFilter::TRACE][usize::from(verbose.min(2))];
    let filter = EnvFilter::builder().with_default_directive(level.into()).with_env_var("HARNESS_LOG").from_env_lossy();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = subscriber.with_ansi(false).without_time().try_init();
}
