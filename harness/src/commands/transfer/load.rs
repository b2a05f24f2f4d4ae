use std::{
    fs::File,
    io::{self, Read},
};

use anyhow::Context;
use clap::Args;
use harness_image::Store;

use super::Lines;
use crate::{
    cli::Common,
    commands::print,
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
    /// Print the images' names alone
    #[arg(long, short)]
    pub quiet: bool,
}

pub fn run(args: &LoadArgs) -> Result {
    let store = Store::open(&Place::choose(args.common.root.as_deref()).images())?;
    let (input, origin): (Box<dyn Read + Send>, _) = match args.input.as_deref() {
        None | Some("-") => (Box::new(io::stdin()), "standard input"),
        Some(path) => (Box::new(File::open(path).with_context(|| format!("cannot open {path}"))?), path),
    };
    let loaded = harness_transfer::load(&store, input, origin, &Lines { quiet: args.quiet })
        .map_err(|error| Failure::Failed(error.into()))?;
    let mut told = String::new();
    for image in loaded {
        if image.names.is_empty() {
            told += &format!("Loaded image ID: {}\n", image.image.id);
        }
        image.names.iter().for_each(|name| told += &format!("Loaded image: {name}\n"));
    }
    print(&told)
}
