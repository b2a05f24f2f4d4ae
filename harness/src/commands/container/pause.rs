use clap::Args;
use harness_container::Request;

use super::each;
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Freeze all processes of containers, or let them go on
#[derive(Debug, Args)]
pub struct PauseArgs {
    #[command(flatten)]
    pub common: Common,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn pause(args: &PauseArgs) -> Result {
    ask(args, &Request::Pause)
}

pub fn unpause(args: &PauseArgs) -> Result {
    ask(args, &Request::Resume)
}

fn ask(args: &PauseArgs, request: &Request) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    each(&args.containers, |name| {
        let record = site.find(name)?;
        let asked = site.supervisor(&record)?.ask(request);
        let answer = asked.map_err(|error| Failure::Failed(error.into()))?;
        // Its supervisor ends after it.
        answer.map(|_| ()).ok_or_else(|| Failure::failed(format!("container {name} is not running: it has just ended")))
    })
}
