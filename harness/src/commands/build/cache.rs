//! Build caches elsewhere: `--cache-from` and `--cache-to`.
//!
//! Such a cache is an image: its layers are those of the steps, and a label of its configuration says which step made
//! which layer on which. So it goes wherever images go, and what comes from there is checked as images are. It is no
//! image to run.

use std::{collections::BTreeMap, path::PathBuf};

use harness_builder::{BuildOutcome, CachedStep, switch};
use harness_image::{CacheEntry, ChainId, DiffId, Digest, Image, LayerBlob, Store};
use harness_transfer::Location;
use oci_spec::image::{Arch, ConfigBuilder, ImageConfigurationBuilder, Os, RootFsBuilder};
use serde::{Deserialize, Serialize};
use storage_driver::Timestamp;

use super::{output::packing, words::words};
use crate::{
    commands::transfer::{
        RegistryArgs,
        packed::{Packing, packed},
    },
    failure::{Failure, Result},
    say,
};

/// The label that makes an image a build cache.
const LABEL: &str = "harness.build-cache";

/// The records' form. What steps depend on has a version of its own, in their keys.
const VERSION: u32 = 1;

/// The tag in a layout, as BuildKit's local cache has it.
const TAG: &str = "latest";

/// As many layers as an image may have that is to be read again.
const MOST_LAYERS: usize = 512;

/// Of an instruction, which is for people, this much is kept.
const SHOWN: usize = 200;

/// What `--cache-from` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFrom(Location);

/// What `--cache-to` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheTo {
    to: Location,
    /// The steps of all stages, and not those alone whose layers the image has.
    all: bool,
    /// A cache that cannot be written is no failure.
    ignore_error: bool,
    packing: Option<Packing>,
}

impl CacheFrom {
    /// `type=local,src=DIR`, `type=registry,ref=NAME` or `NAME`.
    pub fn read(text: &str) -> Result<Self> {
        location("--cache-from", text, "src", &[]).map(|(from, _)| Self(from))
    }

    /// Takes the steps over that the store does not know. A cache that is not there, or cannot be read, costs time and
    /// no more, as with docker.
    pub fn bring(&self, store: &Store, registry: &RegistryArgs) -> Result {
        match self.take_over(store, registry) {
            Err(Failure::Environment(error)) => say(&format!("warning: the cache {} is not used: {error:#}", self.0)),
            other => other?,
        }
        Ok(())
    }

    fn take_over(&self, store: &Store, registry: &RegistryArgs) -> Result {
        let before: Vec<_> = store.list()?.iter().map(|image| image.manifest_digest).collect();
        let image = harness_transfer::copy_in(store, &self.0, &[], &registry.options(), &())?;
        let taken = read(&image).map(|steps| {
            steps.into_iter().try_for_each(|(key, entry)| {
                let cache = store.cache();
                if cache.get(&key)?.is_some() { Ok(()) } else { cache.put(&key, &entry) }
            })
        });
        if !before.contains(&image.manifest_digest) {
            store.remove(&image.id.to_string(), false)?;
        }
        Ok(taken.map_err(Failure::usage)??)
    }
}

impl CacheTo {
    /// As for [`CacheFrom`], with `dest=` for `src=`, `mode=min|max`, `ignore-error=` and `compression=`.
    pub fn read(text: &str) -> Result<Self> {
        let (to, mut more) = location("--cache-to", text, "dest", &["mode", "ignore-error", "compression"])?;
        let all = match more.remove("mode").as_deref() {
            None | Some("min") => false,
            Some("max") => true,
            Some(other) => return Err(Failure::usage(format!("--cache-to mode is min or max, not {other:?}"))),
        };
        let ignored = more.remove("ignore-error");
        let ignore_error = ignored.as_deref().map_or(Some(false), switch).ok_or_else(|| {
            Failure::usage(format!("--cache-to ignore-error is true or false, not {:?}", ignored.unwrap_or_default()))
        })?;
        let packing = more.remove("compression").map(|text| packing("--cache-to", &text)).transpose()?;
        Ok(Self { to, all, ignore_error, packing })
    }

    /// Writes what a build has come to.
    pub fn write(&self, store: &Store, built: &BuildOutcome, registry: &RegistryArgs) -> Result {
        match self.try_write(store, built, registry) {
            Err(error) if self.ignore_error => say(&format!("warning: the cache {} was not written: {error}", self.to)),
            other => other?,
        }
        Ok(())
    }

    fn try_write(&self, store: &Store, built: &BuildOutcome, registry: &RegistryArgs) -> Result {
        let is_wanted = |step: &&CachedStep| {
            let layer = step.entry.layer.as_ref();
            self.all || layer.is_some_and(|layer| built.image.layers().iter().any(|of| of.diff_id == layer.diff_id))
        };
        let image = make(store, &built.cache.iter().filter(is_wanted).collect::<Vec<_>>())?;
        let written = packed(store, std::slice::from_ref(&image), self.packing, |store, images| {
            let put = |image| harness_transfer::copy_out(store, image, &self.to, &registry.options(), &());
            Ok(images.iter().try_for_each(put)?)
        });
        store.remove(&image.id.to_string(), false)?;
        written
    }
}

/// Where a cache is, and what else is said of it.
fn location(
    option: &str,
    text: &str,
    path: &str,
    more: &[&'static str],
) -> Result<(Location, BTreeMap<String, String>)> {
    let registry = |name: &str| {
        let name = name.parse().map_err(|error| Failure::usage(format!("{option}: {error}")))?;
        Ok::<_, Failure>(Location::Registry(name))
    };
    if !text.contains('=') {
        return Ok((registry(text)?, BTreeMap::new()));
    }
    let mut words = words(option, text, &[&["type", "ref", path, "tag"], more].concat())?;
    let missing = |name: &str| Failure::usage(format!("{option} needs {name}=..., which {text:?} has not"));
    let kind = words.remove("type").unwrap_or_else(|| "registry".to_owned());
    let (reference, place, tag) = (words.remove("ref"), words.remove(path), words.remove("tag"));
    let location = match kind.as_str() {
        "local" => {
            let tag = tag.unwrap_or_else(|| TAG.to_owned());
            Location::Oci(PathBuf::from(place.ok_or_else(|| missing(path))?), Some(tag))
        }
        "registry" => registry(&reference.ok_or_else(|| missing("ref"))?)?,
        "inline" => {
            let why = "images carry no build cache here; type=registry,ref=NAME puts one beside them";
            return Err(Failure::usage(format!("{option} type=inline is not supported: {why}")));
        }
        other => {
            let why = format!("{option} has no type {other:?}; there are local and registry");
            return Err(Failure::usage(why));
        }
    };
    Ok((location, words))
}

/// The label's value.
#[derive(Debug, Serialize, Deserialize)]
struct Records {
    version: u32,
    steps: Vec<Record>,
}

/// One step. The chain that it ends in follows from what it stands on and its layer.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    key: Digest,
    instruction: String,
    diff_id: DiffId,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<ChainId>,
    created: Timestamp,
}

/// The image of a cache. It has no name; whoever asked for it takes it away.
fn make(store: &Store, steps: &[&CachedStep]) -> Result<Image> {
    let mut layers: Vec<LayerBlob> = Vec::new();
    let mut records = Records { version: VERSION, steps: Vec::new() };
    for step in steps {
        let Some(layer) = &step.entry.layer else { continue };
        if !layers.iter().any(|known| known.diff_id == layer.diff_id) {
            if layers.len() == MOST_LAYERS {
                say(&format!("warning: of the build's layers {MOST_LAYERS} go into the cache"));
                break;
            }
            layers.push(layer.clone());
        }
        records.steps.push(Record {
            key: step.key,
            instruction: step.entry.instruction.chars().take(SHOWN).collect(),
            diff_id: layer.diff_id,
            below: step.below,
            created: step.entry.created,
        });
    }
    let label = (LABEL.to_owned(), serde_json::to_string(&records)?);
    let config = ImageConfigurationBuilder::default()
        .architecture(Arch::default())
        .os(Os::Linux)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(Vec::<String>::new()).build()?)
        .config(
            ConfigBuilder::default()
                .labels([label].into_iter().collect::<std::collections::HashMap<_, _>>())
                .build()?,
        )
        .build()?;
    Ok(store.put_image(config, layers)?)
}

/// The steps of a cache's image. Its layers were compared with their digests when it came.
fn read(image: &Image) -> Result<Vec<(Digest, CacheEntry)>, String> {
    let labels = image.config.config().as_ref().and_then(|config| config.labels().as_ref());
    let text = labels.and_then(|labels| labels.get(LABEL)).ok_or("it is an image, and no build cache")?;
    let records: Records =
        serde_json::from_str(text).map_err(|error| format!("its records cannot be read: {error}"))?;
    if records.version != VERSION {
        return Err(format!("its records have the version {}, and {VERSION} is read here", records.version));
    }
    let entry = |record: Record| {
        let layer = image.layers().iter().find(|layer| layer.diff_id == record.diff_id);
        let layer = layer.ok_or_else(|| format!("it has no layer {}", record.diff_id))?;
        let entry = CacheEntry {
            instruction: record.instruction,
            layer: Some(layer.clone()),
            chain: Some(ChainId::on(record.below.as_ref(), &record.diff_id)),
            created: record.created,
            notes: BTreeMap::new(),
        };
        Ok((record.key, entry))
    };
    records.steps.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_the_reference() {
        let oci = |tag: &str| Location::Oci("d".into(), Some(tag.to_owned()));
        let registry = Location::Registry("x.org/c:1".parse().unwrap());
        for (text, expected) in [
            ("type=local,src=d", oci("latest")),
            ("type=local,src=d,tag=t", oci("t")),
            ("x.org/c:1", registry.clone()),
            ("type=registry,ref=x.org/c:1", registry.clone()),
            ("ref=x.org/c:1", registry),
        ] {
            assert_eq!(CacheFrom::read(text).unwrap(), CacheFrom(expected), "{text}");
        }
        let to = |all, ignore_error, packing| CacheTo { to: oci("latest"), all, ignore_error, packing };
        for (text, expected) in [
            ("type=local,dest=d", to(false, false, None)),
            ("type=local,dest=d,mode=max,ignore-error=true", to(true, true, None)),
            ("type=local,dest=d,compression=zstd", to(false, false, Some(Packing::Zstd))),
        ] {
            assert_eq!(CacheTo::read(text).unwrap(), expected, "{text}");
        }
        for (text, part) in [
            ("type=local", "needs dest="),
            ("type=registry", "needs ref="),
            ("type=inline", "type=inline is not supported"),
            ("type=gha", "no type \"gha\""),
            ("type=local,src=d", "takes type="),
            ("type=local,dest=d,mode=most", "min or max"),
            ("Not A Name", "--cache-to:"),
        ] {
            let error = CacheTo::read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
