use std::{
    collections::BTreeMap,
    io::{BufWriter, Read, Write},
};

use harness_image::{Digest, Image, Reference, Store};
use serde_json::json;
use storage_layer::{Attributes, TarWriter};

use crate::{Error, Result, layout::LAYOUT};

const BUFFER: usize = 256 << 10;

/// Which documents an archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// docker's and OCI's, as `docker save` writes it from version 25 on: every reader finds what it knows.
    Docker,
    /// Those of an OCI image layout alone.
    Oci,
}

/// An image to be saved, and what it is to be called there.
pub type Saved<'a> = (&'a Image, &'a [Reference]);

/// Writes images as one archive. The same images under the same names give the same bytes, whenever and wherever.
///
/// Blobs are written as they are, each once, however many images have it; each is checked on the way.
///
/// # Errors
/// [`Error::Archive`] when `out` takes no more, or a blob of the store is damaged; what the store says.
pub fn save(store: &Store, images: &[Saved<'_>], form: Form, out: &mut dyn Write, name: &str) -> Result<()> {
    let index = index(images, form);
    write(store, images, &index, (form == Form::Docker).then(|| manifest(images)), out, name)
}

/// As [`save`], for one image that OCI's annotation calls as given.
pub fn save_as(store: &Store, image: &Image, tag: Option<&str>, out: &mut dyn Write, name: &str) -> Result<()> {
    let mut descriptor = descriptor(image);
    if let Some(tag) = tag {
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    }
    write(store, &[(image, &[])], &index_of(vec![descriptor]), None, out, name)
}

fn write(
    store: &Store,
    images: &[Saved<'_>],
    index: &serde_json::Value,
    manifest: Option<serde_json::Value>,
    out: &mut dyn Write,
    name: &str,
) -> Result<()> {
    let _held = store.lease()?;
    let failed = |source| Error::Archive { origin: name.to_owned(), source };
    let mut tar = TarWriter::new(BufWriter::with_capacity(BUFFER, out));
    for dir in ["blobs", "blobs/sha256"] {
        tar.directory(dir.as_bytes(), &attributes(0o755)).map_err(failed)?;
    }
    for (digest, size) in blobs(images) {
        let mut blob = store.blobs().open_verified(&digest)?;
        let path = blob_path(&digest);
        tar.file(path.as_bytes(), &attributes(0o644), size, &mut blob).map_err(failed)?;
        // Its digest is compared at its end.
        let more = blob.read(&mut [0]).map_err(|source| Error::Read { origin: path.clone(), source })?;
        if more > 0 {
            return Err(Error::refused(path, "it is longer than the image says; remove the image and make it again"));
        }
    }
    let mut document = |path: &str, text: String| {
        tar.file(path.as_bytes(), &attributes(0o644), text.len() as u64, &mut text.as_bytes()).map_err(failed)
    };
    document("index.json", index.to_string())?;
    if let Some(manifest) = manifest {
        document("manifest.json", manifest.to_string())?;
    }
    document("oci-layout", LAYOUT.to_owned())?;
    let mut out = tar.finish().map_err(failed)?;
    out.flush().map_err(|source| failed(storage_layer::Error::Output { offset: 0, source }))
}

/// All blobs of all images, by their names.
fn blobs(images: &[Saved<'_>]) -> BTreeMap<Digest, u64> {
    let mut blobs = BTreeMap::new();
    for (image, _) in images {
        blobs.extend(parts(image));
    }
    blobs
}

/// The blobs of an image and their lengths.
pub fn parts(image: &Image) -> Vec<(Digest, u64)> {
    let layers = image.layers().iter().map(|layer| (layer.digest, layer.size.get()));
    let documents = [(image.id, image.manifest.config().size()), (image.manifest_digest, image.manifest_size.get())];
    layers.chain(documents).collect()
}

/// One descriptor for each name, as docker has it.
fn index(images: &[Saved<'_>], form: Form) -> serde_json::Value {
    let mut manifests = Vec::new();
    for (image, names) in images {
        if names.is_empty() {
            manifests.push(descriptor(image));
        }
        for name in *names {
            let mut named = descriptor(image);
            let tag = if form == Form::Docker { name.tag().unwrap_or_default().to_owned() } else { name.to_string() };
            named["annotations"] = json!({
                "io.containerd.image.name": name.canonical(),
                "org.opencontainers.image.ref.name": tag,
            });
            manifests.push(named);
        }
    }
    index_of(manifests)
}

fn index_of(manifests: Vec<serde_json::Value>) -> serde_json::Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    })
}

/// The descriptor of an image's manifest.
pub fn descriptor(image: &Image) -> serde_json::Value {
    let mut platform = json!({
        "architecture": image.config.architecture().to_string(),
        "os": image.config.os().to_string(),
    });
    if let Some(variant) = image.config.variant() {
        platform["variant"] = json!(variant);
    }
    json!({
        "mediaType": image.media_type.to_string(),
        "digest": image.manifest_digest,
        "size": image.manifest_size.get(),
        "platform": platform,
    })
}

/// docker's `manifest.json`.
fn manifest(images: &[Saved<'_>]) -> serde_json::Value {
    let entry = |(image, names): &Saved<'_>| {
        let tags: Vec<_> = names.iter().map(ToString::to_string).collect();
        json!({
            "Config": blob_path(&image.id),
            "RepoTags": if tags.is_empty() { serde_json::Value::Null } else { json!(tags) },
            "Layers": image.layers().iter().map(|layer| blob_path(&layer.digest)).collect::<Vec<_>>(),
        })
    };
    images.iter().map(entry).collect()
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Of nobody in particular, at no time in particular: only then are the bytes the same.
fn attributes(mode: u32) -> Attributes {
    Attributes { mode, ..Attributes::default() }
}
