use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use harness_image::{Image, Reference, Store};
use harness_transfer::{Form, into_file};

use super::{
    of_repository,
    packed::{Packing, packed},
};
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
    /// Images, by name or id; the name of a repository without a tag stands for all its images
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
    let place = Place::choose(args.common.root.as_deref());
    let store = Store::open(&place.images())?;
    let _held = store.lease()?;
    let mut chosen = Vec::new();
    args.images.iter().try_for_each(|name| choose(&store, name, &mut chosen))?;
    let (images, names): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
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
            Some(path) => {
                into_file(path.as_ref(), 0o600, |file| harness_transfer::save(store, &images, form, file, path))
            }
        }
        .map_err(failed)
    })
}

/// Images, each once, and the names that go with them.
type Chosen = Vec<(Image, Vec<Reference>)>;

/// Adds what a word means, as docker reads it: a whole repository where it is one and has no tag; else one image, with the
/// name that it was asked for by, and without where that was an id.
fn choose(store: &Store, word: &str, chosen: &mut Chosen) -> Result {
    let all = match Reference::parse(word) {
        Ok(_) if Reference::is_repository(word) => of_repository(store, word)?,
        _ => Vec::new(),
    };
    if all.is_empty() {
        let image = store.resolve(word).map_err(|error| Failure::Failed(error.into()))?;
        let name = Reference::parse(word).ok().filter(|name| image.references.contains(name));
        add(chosen, image, name);
    }
    all.into_iter().for_each(|(name, image)| add(chosen, image, Some(name)));
    Ok(())
}

fn add(chosen: &mut Chosen, image: Image, name: Option<Reference>) {
    let at = chosen.iter().position(|(there, _)| there.manifest_digest == image.manifest_digest).unwrap_or_else(|| {
        chosen.push((image, Vec::new()));
        chosen.len() - 1
    });
    let names = &mut chosen[at].1;
    names.extend(name.filter(|name| !names.contains(name)));
}
