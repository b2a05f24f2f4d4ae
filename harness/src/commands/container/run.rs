use std::{
    io::{self, IsTerminal},
    os::unix::net::UnixStream,
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use harness_container::{Ahead, Attached, Front, Meant, Supervisor};
use harness_runtime::terminal_size;
use storage_driver::StorageDriver;

use super::{
    attach::{self, Manners},
    create::{Made, make, not_made},
    options::ContainerOptions,
    supervise,
};
use crate::{
    cli::{Common, OneDriver},
    commands::print,
    failure::{Failure, Result},
};

/// Run a command in a new container
///
/// The exit status is the container's; 125 when it could not be made, 126 when its command could not be run,
/// 127 when its command was not found.
#[derive(Debug, Args)]
// -h is docker's --hostname.
#[command(disable_help_flag = true, override_usage = "harness run [OPTIONS] IMAGE [COMMAND]...")]
pub struct RunArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub driver: OneDriver,
    /// Leave it running in the background, and print its id
    #[arg(long, short)]
    pub detach: bool,
    /// Which of the container's streams are this command's: stdin, stdout, stderr; may be given several times [default: what it
    /// writes]
    #[arg(long, short, value_name = "STREAM", ignore_case = true, conflicts_with = "detach")]
    pub attach: Vec<Standard>,
    #[command(flatten)]
    pub manners: Manners,
    #[command(flatten)]
    pub options: ContainerOptions,
}

/// One of the standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Standard {
    Stdin,
    Stdout,
    Stderr,
}

pub fn run(args: &RunArgs) -> Result {
    let (made, driver) = make(&args.common, &args.driver, &args.options, !args.detach).map_err(not_made)?;
    if !args.detach {
        return in_front(made, Some(driver), args.meant(), &args.manners);
    }
    // It is its supervisor's turn.
    drop(driver);
    let Made { site, record, held } = made;
    // Its supervisor takes it over.
    drop(held);
    supervise::start(&site, &record, None)?;
    print(&format!("{}\n", record.id))
}

impl RunArgs {
    fn meant(&self) -> Meant {
        let is = |stream| self.attach.contains(&stream);
        let all = Meant::output_and(self.options.interactive);
        match self.attach.is_empty() {
            true => all,
            false => Meant { stdout: is(Standard::Stdout), stderr: is(Standard::Stderr), ..all },
        }
    }
}

/// Stays in front of a container until its end, or until the user leaves it, with this process's streams and signals.
///
/// Who may leave has the container looked after by another process; else this one does it itself, which is quicker.
pub fn in_front(made: Made, driver: Option<Arc<dyn StorageDriver>>, meant: Meant, manners: &Manners) -> Result {
    let may_leave = made.record.configuration.tty && meant.stdin && io::stdin().is_terminal();
    if may_leave || !manners.sig_proxy {
        // The other process opens it.
        drop(driver);
        return ahead_of(made, meant, manners);
    }
    if let Some(driver) = driver {
        made.site.keep_open(driver);
    }
    look_after(made, meant)
}

fn ahead_of(made: Made, meant: Meant, manners: &Manners) -> Result {
    let Made { site, record, held } = made;
    // Its supervisor takes it over.
    drop(held);
    let (own, stream) = UnixStream::pair().context("cannot make a pair of sockets")?;
    let size = terminal_size(io::stdout()).unwrap_or((24, 80));
    supervise::start(&site, &record, Some(Ahead { stream, interactive: meant.stdin, size }))?;
    attach::follow(&site, &record, Attached::from_the_start(own), meant, manners)
}

fn look_after(made: Made, meant: Meant) -> Result {
    let Made { site, record, held } = made;
    let front = Front::Own(meant);
    let networks = &site.place.networks();
    let (containers, volumes) = (&site.containers, &site.volumes);
    let supervisor = Supervisor { containers, volumes, networks, host: &site, record, held, front };
    match supervisor.run(&mut || {}) {
        Ok(status) => ended(status),
        Err(error) => Err(Failure::Status(error.status(), Some(error.into()))),
    }
}

/// The container's status is this program's.
pub fn ended(status: i32) -> Result {
    if status == 0 { Ok(()) } else { Err(Failure::Status(u8::try_from(status).unwrap_or(255), None)) }
}
