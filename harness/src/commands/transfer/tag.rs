use clap::Args;
use harness_image::{Reference, Store};

use crate::{
    cli::Common,
    failure::{Result, images_failure},
    place::Place,
};

/// Give an image another name
#[derive(Debug, Args)]
pub struct TagArgs {
    #[command(flatten)]
    pub common: Common,
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// The name; another image that has it loses it
    #[arg(value_name = "NAME[:TAG]")]
    pub name: String,
}

pub fn run(args: &TagArgs) -> Result {
    let name = Reference::parse(&args.name)?;
    let store = Store::open(&Place::choose(args.common.root.as_deref()).images())?;
    store.tag(&args.image, &name).map_err(images_failure)
}
