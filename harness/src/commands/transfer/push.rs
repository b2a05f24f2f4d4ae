use clap::Args;
use harness_image::Store;
use harness_transfer::{Location, copy_out};

use super::{
    Lines, RegistryArgs,
    packed::{Packing, packed},
};
use crate::{
    cli::Common,
    failure::{Failure, Result},
    place::Place,
};

/// Give an image to a registry, or write it as a layout or an archive
#[derive(Debug, Args)]
pub struct PushArgs {
    #[command(flatten)]
    pub common: Common,
    /// The image, by name or id
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Where to, as for `pull`; default: the registry that its name tells
    #[arg(value_name = "NAME|TRANSPORT:PLACE")]
    pub to: Option<String>,
    /// How layers are compressed on the way; otherwise they are sent as the store has them, plain where they were built here
    #[arg(long, value_name = "FORM")]
    pub compression: Option<Packing>,
    /// Say nothing
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

pub fn run(args: &PushArgs) -> Result {
    let to: Location = args.to.as_ref().unwrap_or(&args.image).parse().map_err(Failure::usage)?;
    let store = Store::open(&Place::choose(args.common.root.as_deref()).images())?;
    let image = store.resolve(&args.image).map_err(|error| Failure::Failed(error.into()))?;
    let _held = store.lease()?;
    packed(&store, &[image], args.compression, |store, images| {
        let put = |image| copy_out(store, image, &to, &args.registry.options(), &Lines { quiet: args.quiet });
        images.iter().try_for_each(put).map_err(|error| Failure::Failed(error.into()))
    })
}
