use std::{fs, io::BufWriter, path::Path};

use harness_image::{Image, Reference, Store};

use crate::{
    Error, Form, Location, Options, Result, Watch,
    archive::{load_one, save, save_as},
    index,
    layout::{Dir, Layout, write_dir, write_layout},
    receive::Receiver,
    registry::{pull, push},
};

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
    match from {
        Location::Registry(reference) => pull(store, reference, names, options, watch),
        Location::Oci(path, tag) => {
            let layout = Layout::open(path)?;
            let wanted = Some((tag.as_deref(), names));
            let loaded = index::receive_all(&Receiver::new(store, watch), &layout, &layout.index, wanted)?;
            let first = loaded.into_iter().next().map(|loaded| loaded.image);
            first.ok_or_else(|| Error::refused(from.to_string(), "it holds no image"))
        }
        Location::OciArchive(path, name) | Location::DockerArchive(path, name) => {
            let file = fs::File::open(path).map_err(Error::io("open", path))?;
            let receiver = Receiver::new(store, watch);
            load_one(&receiver, &file, &path.display().to_string(), name.as_deref(), names)
        }
        Location::Dir(path) => {
            let dir = Dir::open(path)?;
            let manifest = dir.manifest.clone();
            Receiver::new(store, watch).receive(&dir, manifest, None, names)
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
            into_file(path, |file| save_as(store, image, tag.as_deref(), file, &path.display().to_string()))
        }
        Location::DockerArchive(path, name) => {
            let names: Vec<Reference> = name.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
            let images = [(image, names.as_slice())];
            into_file(path, |file| save(store, &images, Form::Docker, file, &path.display().to_string()))
        }
    }
}

/// Writes a file that is there as a whole or not at all. What is no file, such as a pipe, is written to as it is.
///
/// # Errors
/// Those of `write`, and what the file system says.
pub fn into_file<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut (dyn std::io::Write + Send)) -> Result<(), E>,
) -> Result<(), E> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let file = fs::OpenOptions::new().write(true).open(path).map_err(Error::io("open", path))?;
        return write(&mut BufWriter::new(file));
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(Error::io("create a file in", dir))?;
    write(file.as_file_mut())?;
    file.as_file().sync_all().map_err(Error::io("sync", path))?;
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    Ok(())
}
