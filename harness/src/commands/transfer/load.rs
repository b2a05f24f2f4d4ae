use std::{fs::File, io, os::fd::AsFd};

use anyhow::Context;
use clap::Args;
use harness_image::{Layers, Store};

use super::Lines;
use crate::{
    cli::Common,
    commands::print,
    engine::Session,
    failure::{Failure, Result},
    place::Place,
};

/// Load images from an archive, as `docker save` or skopeo write it (plain, gzip or zstd)
#[derive(Debug, Args)]
pub struct LoadArgs {
    #[command(flatten)]
    pub common: Common,
    /// The archive; default: standard input
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<String>,
    /// Also lay the images' layers out on this storage driver, so that their first containers need not wait for it
    #[arg(long, value_name = "NAME")]
    pub driver: Option<String>,
    /// Driver option, such as sync=off; may be given several times
    #[arg(long = "driver-opt", value_name = "NAME=VALUE", requires = "driver")]
    pub driver_options: Vec<String>,
    /// Print the images' names alone
    #[arg(long, short)]
    pub quiet: bool,
}

pub fn run(args: &LoadArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    // First of all the driver: what it cannot take need not be read.
    let session = match args.driver.as_deref() {
        Some(name) => Some(Session::open(&place, Some(name), &args.driver_options)?),
        None => None,
    };
    let store = match &session {
        Some(session) => session.store.clone(),
        None => Store::open(&place.images())?,
    };
    let (input, origin) = match args.input.as_deref() {
        None | Some("-") => (io::stdin().as_fd().try_clone_to_owned()?.into(), "standard input"),
        Some(path) => (File::open(path).with_context(|| format!("cannot open {path}"))?, path),
    };
    let layers = session.as_ref().map(|session| &session.layers);
    let batch = layers.map(Layers::batch);
    let watch = Lines { quiet: args.quiet };
    let loaded = harness_transfer::load_file(&store, layers, &input, origin, &watch)
        .map_err(|error| Failure::Failed(error.into()))?;
    batch.map_or(Ok(()), harness_image::Batch::settle)?;
    let mut told = String::new();
    for image in loaded {
        if image.names.is_empty() {
            told += &format!("Loaded image ID: {}\n", image.image.id);
        }
        image.names.iter().for_each(|name| told += &format!("Loaded image: {name}\n"));
    }
    print(&told)
}
