//! `manifest.json`, docker's form: one configuration and the plain layers of each image, by their names in the archive.

use harness_image::{Digest, LayerBlob, Reference};
use serde::Deserialize;
use storage_layer::Compression;

use super::{Archive, Loaded, Wanted, stage::Place};
use crate::{
    Error, Result,
    document::shown,
    layer::media_type,
    limits,
    receive::{Receiver, configured},
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

pub fn load(receiver: &Receiver<'_>, archive: Archive<'_>, manifest: &[u8], wanted: Wanted<'_>) -> Result<Vec<Loaded>> {
    let mut archive = archive;
    let entries = parse(manifest).map_err(|why| Error::refused(archive.origin, why))?;
    let Some((name, names)) = wanted else {
        return entries.iter().map(|entry| one(receiver, &mut archive, entry, None)).collect();
    };
    let entry = choose(&entries, name, archive.origin)?;
    Ok(vec![one(receiver, &mut archive, entry, Some(names))?])
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
    receiver: &Receiver<'_>,
    archive: &mut Archive<'_>,
    entry: &Entry,
    names: Option<&[Reference]>,
) -> Result<Loaded> {
    let (store, origin) = (receiver.store, archive.origin);
    let refused = |why: String| Error::refused(origin, why);
    let missing = |name: &str| refused(format!("its manifest.json names {}, which is not there", shown(name)));
    let config = archive.staged.find(&entry.config).ok_or_else(|| missing(&entry.config))?;
    if config.size.get() > limits::CONFIGURATION {
        return Err(refused(format!("its configuration has {}", config.size)));
    }
    let config = archive.stored(config, &entry.config)?;
    if let Some(digest) = named_after(&entry.config)
        && digest != config.digest
    {
        return Err(refused(format!("its configuration {} has the digest {}", entry.config, config.digest)));
    }
    let files = entry.layers.as_deref().unwrap_or_default();
    let configured = configured(origin, &store.blobs().read(&config.digest)?)?;
    let diff_ids = configured.layers(origin, files.len(), "manifest.json")?;
    let mut layers = Vec::new();
    for (name, diff_id) in files.iter().zip(diff_ids) {
        let content = archive.staged.find(name).ok_or_else(|| missing(name))?;
        // A plain tar is checked against its diff id when it comes; what is compressed must be read for its digest.
        let digest = match content.place {
            Place::Archive(_) if content.compression == Compression::None => {
                archive.layers.insert(diff_id.0, content.clone());
                diff_id.0
            }
            _ => archive.stored(content, name)?.digest,
        };
        layers.push(LayerBlob { digest, diff_id, size: content.size, media_type: media_type(content.compression) });
    }
    receiver.receive_layers(archive, &layers)?;
    let names = match names {
        Some(names) => names.to_vec(),
        None => entry.tags().map(|tag| Ok(tag.parse::<Reference>()?)).collect::<Result<_>>()?,
    };
    let image = store.adopt_config(&config, &layers, &names)?;
    Ok(Loaded { image, names })
}

/// `<hex>.json`, as docker wrote it before 25, and `blobs/sha256/<hex>` say what is in them.
fn named_after(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next()?;
    format!("sha256:{}", last.strip_suffix(".json").unwrap_or(last)).parse().ok()
}
