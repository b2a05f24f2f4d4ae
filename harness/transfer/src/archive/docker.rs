//! `manifest.json`, docker's form: one configuration and the plain layers of each image, by their names in the archive.

use harness_image::{Digest, LayerBlob, Reference, Store};
use serde::Deserialize;

use super::{Loaded, Wanted, stage::Staged};
use crate::{
    Error, Result,
    document::shown,
    layer::{Known, media_type},
    limits,
    receive::configured,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Entry {
    fn tags(&self) -> impl Iterator<Item = &String> {
        self.repo_tags.iter().flatten()
    }
}

pub fn load(store: &Store, staged: &Staged, manifest: &[u8], origin: &str, wanted: Wanted<'_>) -> Result<Vec<Loaded>> {
    let entries = parse(manifest).map_err(|why| Error::refused(origin, why))?;
    let known = Known::of(store)?;
    let Some((name, names)) = wanted else {
        return entries.iter().map(|entry| one(store, staged, entry, origin, None, &known)).collect();
    };
    let entry = choose(&entries, name, origin)?;
    Ok(vec![one(store, staged, entry, origin, Some(names), &known)?])
}

fn parse(manifest: &[u8]) -> Result<Vec<Entry>, String> {
    limits::values(manifest).map_err(|why| format!("its manifest.json is too large: {why}"))?;
    let entries: Vec<Entry> =
        serde_json::from_slice(manifest).map_err(|error| format!("its manifest.json is malformed: {error}"))?;
    match entries.len() {
        0 => Err("its manifest.json lists no image".into()),
        count if count > limits::MANIFESTS => Err(format!("it has {count} images, more than {}", limits::MANIFESTS)),
        _ => Ok(entries),
    }
}

fn choose<'a>(entries: &'a [Entry], name: Option<&str>, origin: &str) -> Result<&'a Entry> {
    let not_found = |name: &str| Error::NotFound {
        origin: origin.to_owned(),
        name: name.to_owned(),
        there: entries.iter().flat_map(Entry::tags).take(20).map(|tag| shown(tag)).collect(),
    };
    let Some(name) = name else {
        return match entries {
            [entry] => Ok(entry),
            _ => Err(Error::refused(origin, "it has several images; say which one, as in docker-archive:FILE:NAME")),
        };
    };
    // skopeo knows images without names by their place: @0.
    if let Some(at) = name.strip_prefix('@') {
        return at.parse().ok().and_then(|at: usize| entries.get(at)).ok_or_else(|| not_found(name));
    }
    let wanted: Reference = name.parse()?;
    let called = |entry: &&Entry| entry.tags().any(|tag| tag.parse::<Reference>().is_ok_and(|tag| tag == wanted));
    entries.iter().find(called).ok_or_else(|| not_found(name))
}

fn one(
    store: &Store,
    staged: &Staged,
    entry: &Entry,
    origin: &str,
    names: Option<&[Reference]>,
    known: &Known,
) -> Result<Loaded> {
    let refused = |why: String| Error::refused(origin, why);
    let missing = |name: &str| refused(format!("its manifest.json names {}, which is not there", shown(name)));
    let config = staged.find(&entry.config).ok_or_else(|| missing(&entry.config))?;
    if let Some(digest) = named_after(&entry.config)
        && digest != config.blob.digest
    {
        return Err(refused(format!("its configuration {} has the digest {}", entry.config, config.blob.digest)));
    }
    if config.blob.size.get() > limits::CONFIGURATION {
        return Err(refused(format!("its configuration has {}", config.blob.size)));
    }
    let (os, diff_ids) = configured(origin, &store.blobs().read(&config.blob.digest)?)?;
    if !os.is_empty() && os != "linux" {
        return Err(refused(format!("it is for the operating system {}", shown(&os))));
    }
    let files = entry.layers.as_deref().unwrap_or_default();
    if files.len() != diff_ids.len() {
        return Err(refused(format!(
            "its configuration tells of {} layers, its manifest.json of {}",
            diff_ids.len(),
            files.len()
        )));
    }
    let mut layers = Vec::new();
    for (name, diff_id) in files.iter().zip(diff_ids) {
        let file = staged.find(name).ok_or_else(|| missing(name))?;
        known.check(store.blobs(), origin, &file.blob.digest, diff_id)?;
        let (digest, size) = (file.blob.digest, file.blob.size);
        layers.push(LayerBlob { digest, diff_id, size, media_type: media_type(file.compression) });
    }
    let names = match names {
        Some(names) => names.to_vec(),
        None => entry.tags().map(|tag| Ok(tag.parse::<Reference>()?)).collect::<Result<_>>()?,
    };
    let image = store.adopt_config(&config.blob, &layers, &names)?;
    Ok(Loaded { image, names })
}

/// `<hex>.json`, as docker wrote it before 25, and `blobs/sha256/<hex>` say what is in them.
fn named_after(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next()?;
    format!("sha256:{}", last.strip_suffix(".json").unwrap_or(last)).parse().ok()
}
