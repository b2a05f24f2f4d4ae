use clap::Args;
use harness_container::{Request, signal};

use super::each;
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Send a signal to containers
#[derive(Debug, Args)]
pub struct KillArgs {
    #[command(flatten)]
    pub common: Common,
    /// The signal, by name or number
    #[arg(long, short, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &KillArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let signal = signal::parse(&args.signal).map_err(Failure::usage)?;
    each(&args.containers, |name| {
        let record = site.find(name)?;
        let asked = site.supervisor(&record)?.ask(&Request::Signal { signal });
        asked.map(|_| ()).map_err(|error| Failure::Failed(error.into()))
    })
}
