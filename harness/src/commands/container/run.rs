use clap::Args;
use harness_container::{Front, Supervisor};

use super::{
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
    #[command(flatten)]
    pub options: ContainerOptions,
}

pub fn run(args: &RunArgs) -> Result {
    let (made, driver) = make(&args.common, &args.driver, &args.options, !args.detach).map_err(not_made)?;
    if !args.detach {
        made.site.keep_open(driver);
        return in_front(made, args.options.interactive);
    }
    // It is its supervisor's turn.
    drop(driver);
    let Made { site, record, held } = made;
    // Its supervisor takes it over.
    drop(held);
    supervise::start(&site, &record)?;
    print(&format!("{}\n", record.id))
}

/// Looks after a container until its end, with this process's streams and signals in front of it.
pub fn in_front(made: Made, interactive: bool) -> Result {
    let Made { site, record, held } = made;
    let front = Front::Own { interactive };
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
