//! Images as directories: OCI image layouts and skopeo's `dir:`.

mod dir;
mod oci;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use harness_image::{Digest, Store};

pub use self::{
    dir::{Dir, write_dir},
    oci::{Layout, write_layout},
};
use crate::{Done, Error, Result, Watch, limits, whole};

/// What the file `oci-layout` holds.
pub const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// Reads a document at `path`; more than a document can have is refused, and so is what is no file.
fn read_document(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open_file(path)?;
    file.take(limits::DOCUMENT + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(bytes)
}

/// Opens a file, and nothing else: a named pipe would not answer.
fn open_file(path: &Path) -> Result<File> {
    let metadata = fs::symlink_metadata(path).map_err(Error::io("open", path))?;
    if !metadata.is_file() {
        return Err(Error::refused(path.display().to_string(), "it is no file"));
    }
    File::open(path).map_err(Error::io("open", path))
}

/// Replaces a file as a whole.
fn replace(path: &Path, content: &mut dyn Read) -> Result<()> {
    whole::replace(path, 0o644, |file| io::copy(content, file).map(drop).map_err(Error::io("write", path)))
}

/// Copies a blob of the store, checked, unless a file of its length is there.
fn copy_blob(store: &Store, digest: &Digest, size: u64, to: &Path, watch: &dyn Watch) -> Result<()> {
    if fs::symlink_metadata(to).is_ok_and(|there| there.is_file() && there.len() == size) {
        watch.done(digest, Done::Present);
        return Ok(());
    }
    replace(to, &mut store.blobs().open_verified(digest)?)?;
    watch.done(digest, Done::Moved);
    Ok(())
}

/// A directory that is empty, or holds `mark`; it is made where there is none.
fn prepare(dir: &Path, mark: &str, what: &str) -> Result<()> {
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    if dir.join(mark).exists() {
        return Ok(());
    }
    if fs::read_dir(dir).map_err(Error::io("read", dir))?.next().is_some() {
        let why = format!("it is neither empty nor {what}; choose another directory");
        return Err(Error::Location { text: dir.display().to_string(), why });
    }
    Ok(())
}
