use std::{
    fs::File,
    io::{self, Read},
};

use anyhow::Context;
use clap::Args;
use harness_builder::{fetch_file, without_user};
use harness_image::{
    Reference, Store,
    base::{self, ImportOptions},
};
use harness_transfer::Platform;

use crate::{
    cli::Common,
    commands::{change::Changes, print},
    failure::{Failure, Result, images_failure},
    place::Place,
};

/// Make an image from the tar of a root file system (plain, gzip, bzip2, xz or zstd); prints its id
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pub common: Common,
    /// The tar, its address (http:// or https://), or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    pub file: String,
    /// Name of the image
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
    #[command(flatten)]
    pub changes: Changes,
    /// Comment for the image's history
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// What the files are for, if not for this machine
    #[arg(long, value_name = "OS/ARCHITECTURE[/VARIANT]")]
    pub platform: Option<Platform>,
}

pub fn run(args: &ImportArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let name = args.name.as_deref().map(Reference::parse).transpose()?;
    let config = if args.changes.is_empty() { None } else { Some(args.changes.alone()?) };
    let architecture = args.platform.as_ref().map(for_linux).transpose()?;
    let store = Store::open(&place.images())?;
    let mut source = open(&args.file)?;
    let message = args.message.clone().unwrap_or_else(|| format!("imported from {}", without_user(&args.file)));
    let options = ImportOptions { config, message, created: None, architecture };
    let image = base::import(&store, &mut source, name.as_ref(), &options).map_err(images_failure)?;
    print(&format!("{}\n", image.id))
}

/// Go's word for the processor, and its variant. That of arm64 is left out where it is the usual one, as containerd does it.
fn for_linux(platform: &Platform) -> Result<(oci_spec::image::Arch, Option<String>)> {
    if platform.os != "linux" {
        return Err(Failure::usage(format!("images for {platform} are not made here, only those for linux")));
    }
    let is_usual = |variant: &String| platform.architecture == "arm64" && variant == "v8";
    let variant = platform.variant.clone().filter(|variant| !is_usual(variant));
    Ok((platform.architecture.as_str().into(), variant))
}

fn open(from: &str) -> Result<Box<dyn Read + Send>> {
    match from {
        "-" => Ok(Box::new(io::stdin())),
        // As docker tells them from files.
        url if url.starts_with("http://") || url.starts_with("https://") => {
            fetch_file(url).map_err(|why| Failure::failed(format!("cannot fetch {}: {why}", without_user(url))))
        }
        path => Ok(Box::new(open_file(path)?)),
    }
}

fn open_file(path: &str) -> Result<File> {
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    if file.metadata().with_context(|| format!("cannot examine {path}"))?.is_dir() {
        return Err(Failure::usage(format!(
            "{path} is a directory; to import it: tar -C {path} -c . | harness import - NAME"
        )));
    }
    Ok(file)
}
