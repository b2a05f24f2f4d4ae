use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use harness_image::{Image, Reference, Store};
use harness_transfer::{Form, into_file};

use super::packed::{Packing, packed};
use crate::{
    cli::Common,
    failure::{Failure, Result},
    place::Place,
};

/// Write images to an archive that docker, podman and skopeo load
#[derive(Debug, Args)]
pub struct SaveArgs {
    #[command(flatten)]
    pub common: Common,
    /// The archive; default: standard output, which must not be a terminal
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<String>,
    /// docker: an archive that old readers know, too; oci: the tar of an OCI image layout
    #[arg(long, default_value = "docker")]
    pub format: Archive,
    /// How layers are compressed there; otherwise they are as the store has them, plain where they were built here
    #[arg(long, value_name = "FORM")]
    pub compression: Option<Packing>,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Archive {
    Docker,
    Oci,
}

pub fn run(args: &SaveArgs) -> Result {
    let failed = |error: harness_transfer::Error| Failure::Failed(error.into());
    let store = Store::open(&Place::choose(args.common.root.as_deref()).images())?;
    let _held = store.lease()?;
    let found = args.images.iter().map(|name| named(&store, name)).collect::<Result<Vec<_>>>()?;
    let (images, names): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    if args.output.as_deref().is_none_or(|path| path == "-") && io::stdout().is_terminal() {
        return Err(Failure::usage("an archive is not written to a terminal; use --output FILE, or redirect"));
    }
    let form = match args.format {
        Archive::Docker => Form::Docker,
        Archive::Oci => Form::Oci,
    };
    packed(&store, &images, args.compression, |store, images| {
        let images: Vec<_> = images.iter().zip(&names).map(|(image, names)| (image, names.as_slice())).collect();
        match args.output.as_deref() {
            None | Some("-") => {
                harness_transfer::save(store, &images, form, &mut io::stdout().lock(), "standard output")
            }
            Some(path) => into_file(path.as_ref(), |file| harness_transfer::save(store, &images, form, file, path)),
        }
        .map_err(failed)
    })
}

/// The image, and the name that goes with it: the one that was asked for, none where that was an id.
fn named(store: &Store, name: &str) -> Result<(Image, Vec<Reference>)> {
    let image = store.resolve(name).map_err(|error| Failure::Failed(error.into()))?;
    let names = Reference::parse(name).ok().filter(|name| image.references.contains(name));
    Ok((image, names.into_iter().collect()))
}
