use clap::Args;

use crate::{
    cli::Common,
    containers::Site,
    failure::{Failure, Result},
    place::Place,
};

/// Give a container another name
#[derive(Debug, Args)]
pub struct RenameArgs {
    #[command(flatten)]
    pub common: Common,
    /// The container, by name or id
    container: String,
    /// Its new name
    name: String,
}

pub fn run(args: &RenameArgs) -> Result {
    let site = Site::open(Place::choose(args.common.root.as_deref()))?;
    let record = site.find(&args.container)?;
    site.containers.rename(&record, &args.name).map_err(|error| Failure::Failed(error.into()))
}
