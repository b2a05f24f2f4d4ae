use clap::Args;
use harness_image::{Image, Store};
use harness_transfer::{Location, copy_out};

use super::{
    Lines, RegistryArgs, of_repository, only_repository,
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
    /// The image, by name or id; with --all-tags a repository
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Where to, as for `pull`; default: the registry that its name tells
    #[arg(value_name = "NAME|TRANSPORT:PLACE")]
    pub to: Option<String>,
    /// All images of the repository, each under its tag
    #[arg(long, short, conflicts_with = "to")]
    pub all_tags: bool,
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
    let place = Place::choose(args.common.root.as_deref());
    if args.all_tags {
        return push_all(args, &place);
    }
    let to: Location = args.to.as_ref().unwrap_or(&args.image).parse().map_err(Failure::usage)?;
    let store = Store::open(&place.images())?;
    let image = store.resolve(&args.image).map_err(|error| Failure::Failed(error.into()))?;
    push(args, &store, &image, &to)
}

/// One after the other, up to the first that fails.
fn push_all(args: &PushArgs, place: &Place) -> Result {
    only_repository(&args.image)?;
    let store = Store::open(&place.images())?;
    let all = of_repository(&store, &args.image)?;
    if all.is_empty() {
        return Err(Failure::failed(format!("there is no image of the repository {}", args.image)));
    }
    all.iter().try_for_each(|(name, image)| push(args, &store, image, &Location::Registry(name.clone())))
}

fn push(args: &PushArgs, store: &Store, image: &Image, to: &Location) -> Result {
    let _held = store.lease()?;
    packed(store, std::slice::from_ref(image), args.compression, |store, images| {
        let put = |image| copy_out(store, image, to, &args.registry.options(), &Lines { quiet: args.quiet });
        images.iter().try_for_each(put).map_err(|error| Failure::Failed(error.into()))
    })
}
