use anyhow::anyhow;
use clap::Args;

use crate::{
    cli::Common,
    commands::print,
    containers::{Containers, State},
    drivers,
    failure::{Failure, Result},
    place::Place,
};

/// Remove containers that have ended
#[derive(Debug, Args)]
pub struct RmArgs {
    #[command(flatten)]
    pub common: Common,
    /// Containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub fn run(args: &RmArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let containers = Containers::open(place.containers())?;
    for name in &args.containers {
        remove(&place, &containers, name)?;
        print(&format!("{name}\n"))?;
    }
    Ok(())
}

fn remove(place: &Place, containers: &Containers, name: &str) -> Result {
    let (record, state) = containers.find(name).map_err(Failure::Failed)?;
    if state == State::Running {
        return Err(Failure::Failed(anyhow!("container {name} is running; end it first")));
    }
    let driver = drivers::open_one(place, Some(&record.driver), &[])?;
    match driver.remove(&record.layer) {
        Ok(()) | Err(storage_driver::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(containers.remove(&record.id)?)
}
