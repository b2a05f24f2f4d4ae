use clap::Args;
use harness_container::{Client, Request};
use nix::sys::signal::SIGKILL;

use super::each;
use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Remove containers
#[derive(Debug, Args)]
pub struct RmArgs {
    #[command(flatten)]
    pub common: Common,
    /// Kill those that run; it is no failure if there is none of a name
    #[arg(long, short)]
    force: bool,
    /// Remove the volumes, too, that were made for them without a name
    #[arg(long, short)]
    volumes: bool,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &RmArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    each(&args.containers, |name| remove(&site, name, args))
}

fn remove(site: &Site, name: &str, args: &RmArgs) -> Result {
    let record = match site.containers.find(name) {
        Err(harness_container::Error::NotFound { .. }) if args.force => return Ok(()),
        other => other.map_err(|error| Failure::Failed(error.into()))?,
    };
    let status = site.containers.state(&record.id)?.1;
    if status.is_alive() && !args.force {
        let how = status.name();
        return Err(Failure::failed(format!("container {name} is {how}; stop it first, or use --force")));
    }
    if let Some(supervisor) = Client::connect(&site.containers, &record.id)? {
        let killed = supervisor.ask(&Request::Stop { signal: Some(SIGKILL as i32), timeout: Some(0) });
        killed.map_err(|error| Failure::Failed(error.into()))?;
    }
    if record.auto_remove && site.containers.find(&record.id).is_err() {
        // It vanished with its end.
        return Ok(());
    }
    match site.remove(&record, args.volumes) {
        // It may have vanished while it was waited for.
        Err(_) if record.auto_remove && site.containers.find(&record.id).is_err() => Ok(()),
        other => other,
    }
}
