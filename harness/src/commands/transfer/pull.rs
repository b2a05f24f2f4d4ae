use std::sync::Arc;

use clap::Args;
use harness_image::{Reference, Store};
use harness_transfer::{Location, Options, Platform, copy_in, tags};

use super::{Lines, RegistryArgs, only_repository};
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
    /// All tags of the repository NAME
    #[arg(long, short, conflicts_with = "tag")]
    pub all_tags: bool,
    /// The image for this platform, out of several; default: this machine's
    #[arg(long, value_name = "OS/ARCHITECTURE[/VARIANT]")]
    pub platform: Option<Platform>,
    /// Print the image's id alone
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

pub fn run(args: &PullArgs) -> Result {
    let from: Location = args.from.parse().map_err(Failure::usage)?;
    let options = Options { platform: args.platform.clone(), ..args.registry.options() };
    if args.all_tags {
        return pull_all(args, &from, &options);
    }
    let mut names = args.tag.iter().map(|name| Reference::parse(name)).collect::<harness_image::Result<Vec<_>>>()?;
    if let (true, Location::Registry(name)) = (names.is_empty(), &from)
        && name.digest().is_none()
    {
        names.push(name.clone());
    }
    let store = open(args)?;
    pull(args, &store, &from, &names, &options)
}

/// One after the other, up to the first that fails.
fn pull_all(args: &PullArgs, from: &Location, options: &Options) -> Result {
    let Location::Registry(repository) = from else {
        return Err(Failure::usage("--all-tags takes a repository of a registry"));
    };
    only_repository(args.from.trim_start_matches("docker://"))?;
    let store = open(args)?;
    let names = tags(repository, options).map_err(|error| Failure::Failed(error.into()))?;
    if names.is_empty() {
        return Err(Failure::failed(format!("{} has no tags", repository.familiar_repository())));
    }
    let each =
        |name: &Reference| pull(args, &store, &Location::Registry(name.clone()), std::slice::from_ref(name), options);
    names.iter().try_for_each(each)
}

fn open(args: &PullArgs) -> Result<Arc<Store>> {
    Ok(Store::open(&Place::choose(args.common.root.as_deref()).images())?)
}

fn pull(args: &PullArgs, store: &Store, from: &Location, names: &[Reference], options: &Options) -> Result {
    let image = copy_in(store, from, names, options, &Lines { quiet: args.quiet })
        .map_err(|error| Failure::Failed(error.into()))?;
    print(&format!("{}\n", image.id))
}
