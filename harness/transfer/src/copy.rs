use std::fs;

use harness_image::{Image, Reference, Store};

use crate::{
    Error, Form, Location, Options, Result, Watch,
    archive::{load_one, save, save_as},
    index,
    layout::{Dir, Layout, write_dir, write_layout},
    receive::Receiver,
    registry::{pull, push},
    whole::into_file,
};

/// Archives are for their owner, as docker writes them.
const PRIVATE: u32 = 0o600;

/// Takes an image from where it lives into the store, and gives it names.
///
/// # Errors
/// What the source says; [`Error::Refused`], [`Error::NotFound`], [`Error::Platform`]; what the store says. No image
/// is made then, and no name moves.
pub fn copy_in(
    store: &Store,
    from: &Location,
    names: &[Reference],
    options: &Options,
    watch: &dyn Watch,
) -> Result<Image> {
    let receiver = || Receiver::new(store, watch).of(options.platform.clone());
    match from {
        Location::Registry(reference) => pull(store, reference, names, options, watch),
        Location::Oci(path, tag) => {
            let layout = Layout::open(path)?;
            let wanted = Some((tag.as_deref(), names));
            let loaded = index::receive_all(&receiver(), &layout, &layout.index, wanted)?;
            let first = loaded.into_iter().next().map(|loaded| loaded.image);
            first.ok_or_else(|| Error::refused(from.to_string(), "it holds no image"))
        }
        Location::OciArchive(path, name) | Location::DockerArchive(path, name) => {
            let file = fs::File::open(path).map_err(Error::io("open", path))?;
            load_one(&receiver(), &file, &path.display().to_string(), name.as_deref(), names)
        }
        Location::Dir(path) => {
            let dir = Dir::open(path)?;
            let manifest = dir.manifest.clone();
            receiver().receive(&dir, manifest, None, names)
        }
    }
}

/// Writes an image of the store where it is to live.
///
/// # Errors
/// What the destination says; what the store says, of damaged blobs too.
pub fn copy_out(store: &Store, image: &Image, to: &Location, options: &Options, watch: &dyn Watch) -> Result<()> {
    match to {
        Location::Registry(name) => push(store, image, name, options, watch).map(drop),
        Location::Oci(path, tag) => write_layout(store, image, path, tag.as_deref(), watch),
        Location::Dir(path) => write_dir(store, image, path, watch),
        Location::OciArchive(path, tag) => {
            into_file(path, PRIVATE, |file| save_as(store, image, tag.as_deref(), file, &path.display().to_string()))
        }
        Location::DockerArchive(path, name) => {
            let names: Vec<Reference> = name.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
            let images = [(image, names.as_slice())];
            into_file(path, PRIVATE, |file| save(store, &images, Form::Docker, file, &path.display().to_string()))
        }
    }
}
