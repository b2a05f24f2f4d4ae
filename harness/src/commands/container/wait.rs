use clap::Args;
use harness_container::{Client, Request, Status};

use crate::{
    cli::Common,
    commands::print,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Wait until containers have ended, and print their exit statuses
#[derive(Debug, Args)]
pub struct WaitArgs {
    #[command(flatten)]
    pub common: Common,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &WaitArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    for name in &args.containers {
        let record = site.find(name)?;
        let status = wait(&site, &record.id).map_err(|error| Failure::Failed(error.into()))?;
        print(&format!("{status}\n"))?;
    }
    Ok(())
}

/// Waits for a container's end; one that was never started has ended with 0, as docker says.
pub fn wait(site: &Site, id: &str) -> harness_container::Result<i32> {
    if let Some(supervisor) = Client::connect(&site.containers, id)?
        && let Some(status) = supervisor.ask(&Request::Wait)?.and_then(|answer| answer.status)
    {
        return Ok(status);
    }
    // It ended meanwhile, or before.
    let (state, status) = site.containers.state(id)?;
    Ok(match status {
        // Docker's status for one whose end nobody saw.
        Status::Dead => 255,
        _ => state.status.unwrap_or_default(),
    })
}
