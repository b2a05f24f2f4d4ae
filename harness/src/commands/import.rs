use std::{
    fs::File,
    io::{self, Read},
};

use anyhow::Context;
use clap::Args;
use harness_image::{
    Reference, Store,
    base::{self, ImportOptions},
};

use crate::{
    cli::Common,
    commands::{change::Changes, print},
    failure::{Failure, Result, images_failure},
    place::Place,
};

/// Make an image from the tar of a root file system (plain, gzip or zstd)
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pub common: Common,
    /// The tar, or - for standard input
    #[arg(value_name = "FILE|-")]
    pub file: String,
    /// Name of the image
    #[arg(value_name = "NAME[:TAG]")]
    pub name: String,
    #[command(flatten)]
    pub changes: Changes,
    /// Comment for the image's history
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
}

pub fn run(args: &ImportArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let reference = Reference::parse(&args.name)?;
    let config = if args.changes.is_empty() { None } else { Some(args.changes.alone()?) };
    let store = Store::open(&place.images())?;
    let mut source: Box<dyn Read + Send> = match args.file.as_str() {
        "-" => Box::new(io::stdin()),
        path => Box::new(open(path)?),
    };
    let message = args.message.clone().unwrap_or_else(|| format!("imported from {}", args.file));
    let options = ImportOptions { config, message, created: None };
    let image = base::import(&store, &mut source, &reference, &options).map_err(images_failure)?;
    print(&format!("{}\n", image.id))
}

fn open(path: &str) -> Result<File> {
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    if file.metadata().with_context(|| format!("cannot examine {path}"))?.is_dir() {
        return Err(Failure::usage(format!(
            "{path} is a directory; to import it: tar -C {path} -c . | harness import - NAME"
        )));
    }
    Ok(file)
}
