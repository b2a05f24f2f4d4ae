use std::{
    fs,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
};

use harness_image::{Blob, Image, Store};
use serde_json::{Value, json};

use super::{LAYOUT, copy_blob, open_file, prepare, read_document, replace};
use crate::{
    Error, Result, Watch,
    archive::{descriptor, parts},
    index,
    source::{Source, Stream},
};

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An OCI image layout (image-spec, image-layout.md) to read from.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    /// Its `index.json`.
    pub index: Vec<u8>,
}

impl Layout {
    /// Reads its index.
    pub fn open(root: &Path) -> Result<Self> {
        read_document(&root.join("oci-layout"))?;
        Ok(Self { root: root.to_owned(), index: read_document(&root.join("index.json"))? })
    }

    fn path(&self, blob: &Blob) -> PathBuf {
        self.root.join("blobs/sha256").join(blob.digest.hex())
    }
}

impl Source for Layout {
    fn origin(&self) -> String {
        format!("oci:{}", self.root.display())
    }

    fn manifest(&self, blob: &Blob) -> Result<Vec<u8>> {
        read_document(&self.path(blob))
    }

    fn open(&self, blob: &Blob, start: u64) -> Result<Stream> {
        let path = self.path(blob);
        let mut file = open_file(&path)?;
        file.seek(SeekFrom::Start(start)).map_err(Error::io("read", path))?;
        Ok(Stream { start, body: Box::new(file) })
    }
}

/// Writes an image into a layout, which is made where there is none. The image that had the tag keeps none.
pub fn write_layout(store: &Store, image: &Image, root: &Path, tag: Option<&str>, watch: &dyn Watch) -> Result<()> {
    let _held = store.lease()?;
    prepare(root, "oci-layout", "an OCI image layout")?;
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
    for (digest, size) in parts(image) {
        copy_blob(store, &digest, size, &blobs.join(digest.hex()), watch)?;
    }
    let path = root.join("index.json");
    let mut index = read_index(&path)?;
    let mut entry = descriptor(image);
    if let Some(tag) = tag {
        entry["annotations"] = json!({ REF_NAME: tag });
    }
    if let Some(Value::Array(manifests)) = index.get_mut("manifests") {
        let digest = &entry["digest"];
        manifests.retain(|other| {
            let name = other["annotations"][REF_NAME].as_str();
            // Without a name, or under the same one, it is there once.
            !(name == tag && (tag.is_some() || other["digest"] == *digest))
        });
        manifests.push(entry);
    }
    replace(&path, &mut index.to_string().as_bytes())?;
    replace(&root.join("oci-layout"), &mut LAYOUT.as_bytes())
}

/// The index as it is, with whatever else it says.
fn read_index(path: &Path) -> Result<Value> {
    if !path.exists() {
        return Ok(
            json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}),
        );
    }
    let (bytes, origin) = (read_document(path)?, path.display().to_string());
    let refused = |error: serde_json::Error| Error::refused(&*origin, format!("it is malformed: {error}"));
    let index: Value = serde_json::from_slice(&bytes).map_err(refused)?;
    if index["manifests"].as_array().is_some_and(|manifests| !manifests.is_empty()) {
        index::parse(&origin, &bytes)?;
    }
    Ok(index)
}
