use clap::Args;
use harness_container::{Client, Request, signal};

use super::each;
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Stop containers: ask them to end, and make them after a time
#[derive(Debug, Args)]
pub struct StopArgs {
    #[command(flatten)]
    pub common: Common,
    /// Seconds they have until they are killed [default: 10, or what they were made with]
    #[arg(long, short, visible_alias = "timeout", value_name = "SECONDS")]
    time: Option<u64>,
    /// Signal that asks them to end [default: the container's own]
    #[arg(long, short, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &StopArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let signal = args.signal.as_deref().map(signal::parse).transpose().map_err(Failure::usage)?;
    each(&args.containers, |name| stop(&site, name, signal, args.time))
}

/// Stops a container; one that has ended is left as it is.
pub fn stop(site: &Site, name: &str, signal: Option<i32>, timeout: Option<u64>) -> Result {
    let record = site.find(name)?;
    if let Some(supervisor) = Client::connect(&site.containers, &record.id)? {
        supervisor.ask(&Request::Stop { signal, timeout }).map_err(|error| Failure::Failed(error.into()))?;
    }
    Ok(())
}
