use std::{
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
};

use harness_image::{Blob, Image, Store};

use super::{copy_blob, open_file, prepare, read_document, replace};
use crate::{
    Error, Result, Watch,
    archive::parts,
    source::{Source, Stream},
};

/// What skopeo writes into the file `version` (containers/image, directory transport).
const VERSION: &str = "Directory Transport Version: 1.1\n";

/// skopeo's `dir:`: a manifest and its blobs side by side, named by their digits.
#[derive(Debug)]
pub struct Dir {
    root: PathBuf,
    /// Its `manifest.json`, which is a manifest of OCI's or docker's form.
    pub manifest: Vec<u8>,
}

impl Dir {
    /// Reads its manifest.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { root: root.to_owned(), manifest: read_document(&root.join("manifest.json"))? })
    }
}

impl Source for Dir {
    fn origin(&self) -> String {
        format!("dir:{}", self.root.display())
    }

    /// Manifests that a list names are beside it as `<hex>.manifest.json`.
    fn manifest(&self, blob: &Blob) -> Result<Vec<u8>> {
        read_document(&self.root.join(format!("{}.manifest.json", blob.digest.hex())))
    }

    fn open(&self, blob: &Blob, start: u64) -> Result<Stream> {
        let path = self.root.join(blob.digest.hex());
        let mut file = open_file(&path)?;
        file.seek(SeekFrom::Start(start)).map_err(Error::io("read", path))?;
        Ok(Stream { start, body: Box::new(file) })
    }
}

/// Writes an image into a directory, which is made where there is none.
pub fn write_dir(store: &Store, image: &Image, root: &Path, watch: &dyn Watch) -> Result<()> {
    let _held = store.lease()?;
    prepare(root, "version", "a directory of the same kind")?;
    for (digest, size) in parts(image) {
        if digest != image.manifest_digest {
            copy_blob(store, &digest, size, &root.join(digest.hex()), watch)?;
        }
    }
    replace(&root.join("manifest.json"), &mut store.blobs().open_verified(&image.manifest_digest)?)?;
    replace(&root.join("version"), &mut VERSION.as_bytes())
}
