use clap::Args;
use harness_image::{Reference, Store};
use harness_transfer::{Location, copy_in};

use super::{Lines, RegistryArgs};
use crate::{
    cli::Common,
    commands::print,
    failure::{Failure, Result},
    place::Place,
};

/// Take an image from a registry, a layout or an archive into the store
#[derive(Debug, Args)]
pub struct PullArgs {
    #[command(flatten)]
    pub common: Common,
    /// NAME[:TAG|@DIGEST] in a registry, or where it lives: docker://NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:NAME], dir:PATH (containers-transports(5))
    #[arg(value_name = "NAME|TRANSPORT:PLACE")]
    pub from: String,
    /// The name that it gets here; default: its own. May be given several times
    #[arg(long, short, value_name = "NAME[:TAG]")]
    pub tag: Vec<String>,
    /// Print the image's id alone
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

pub fn run(args: &PullArgs) -> Result {
    let from: Location = args.from.parse().map_err(Failure::usage)?;
    let mut names = args.tag.iter().map(|name| Reference::parse(name)).collect::<Result<Vec<_>, _>>()?;
    if let (true, Location::Registry(name)) = (names.is_empty(), &from)
        && name.digest().is_none()
    {
        names.push(name.clone());
    }
    let store = Store::open(&Place::choose(args.common.root.as_deref()).images())?;
    let image = copy_in(&store, &from, &names, &args.registry.options(), &Lines { quiet: args.quiet })
        .map_err(|error| Failure::Failed(error.into()))?;
    print(&format!("{}\n", image.id))
}
