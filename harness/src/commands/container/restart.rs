use clap::Args;

use super::{each, start::start, stop::stop};
use crate::{cli::Common, containers::Site, failure::Result, place::Place};

/// Stop containers and start them again
#[derive(Debug, Args)]
pub struct RestartArgs {
    #[command(flatten)]
    pub common: Common,
    /// Seconds they have until they are killed [default: 10, or what they were made with]
    #[arg(long, short, visible_alias = "timeout", value_name = "SECONDS")]
    time: Option<u64>,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &RestartArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    each(&args.containers, |name| {
        let record = site.find(name)?;
        stop(&site, name, None, args.time)?;
        // Its supervisor may still be putting things away.
        drop(site.hold(&record)?);
        start(&site, name)
    })
}
