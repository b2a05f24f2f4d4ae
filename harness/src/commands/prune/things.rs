//! The things themselves, each kind with what tells that it is not used.

use std::collections::BTreeSet;

use harness_image::{Image, Store};
use storage_driver::Bytes;
use storage_layer::Digest;

use super::{conditions::Conditions, keep, told};
use crate::{
    commands::{
        container::{size::Sizes, volume},
        images::created,
        rmi,
    },
    containers::Site,
    drivers::Options,
    failure::{Failure, Result, images_failure},
    place::Place,
};

/// Containers that do not run. One that cannot be removed does not keep the others.
pub fn containers(site: &Site, conditions: &Conditions, freed: &mut Bytes) -> Result {
    let mut sizes = Sizes::new(site);
    let (mut gone, mut failed) = (Vec::new(), None);
    for (record, status) in site.containers.list()? {
        if status.is_alive() || !conditions.take(Some(record.created), &record.configuration.labels) {
            continue;
        }
        let mut remove = || -> Result<Bytes> {
            let size = sizes.of(&record)?.own;
            site.keep_open(sizes.driver(&record)?);
            site.remove(&record, false)?;
            Ok(size)
        };
        match remove() {
            Ok(size) => {
                *freed += size;
                gone.push(record.id);
            }
            Err(failure) => keep(&mut failed, failure),
        }
    }
    told("Deleted Containers:", &gone)?;
    failed.map_or(Ok(()), Err)
}

/// Images that no container was made from. Whether any went.
pub fn images(site: &Site, store: &Store, all: bool, conditions: &Conditions, freed: &mut Bytes) -> Result<bool> {
    let used: BTreeSet<_> = site.containers.list()?.into_iter().map(|(record, _)| record.image_id).collect();
    let mut gone = Vec::new();
    for image in store.list()? {
        let labels = image.config.config().as_ref().and_then(|config| config.labels().as_ref());
        let is_unused = (all || image.references.is_empty()) && !used.contains(&image.id.to_string());
        if !is_unused || !conditions.take(created(&image), labels.into_iter().flatten()) {
            continue;
        }
        let removal = match store.remove(&image.id.to_string(), true) {
            // Somebody was quicker.
            Err(harness_image::Error::NotFound { .. }) => continue,
            other => other.map_err(images_failure)?,
        };
        gone.extend(removal.untagged.iter().map(|name| format!("untagged: {name}")));
        gone.extend(removal.deleted.iter().map(|digest| format!("deleted: {digest}")));
        *freed += removal.freed;
    }
    told("Deleted Images:", &gone)?;
    Ok(!gone.is_empty())
}

/// What build steps made, if no image has it; all of it otherwise. Whether any went.
pub fn cache(store: &Store, all: bool, conditions: &Conditions) -> Result<bool> {
    let images = store.list()?;
    let shared: BTreeSet<Digest> = images.iter().flat_map(Image::layers).map(|layer| layer.digest).collect();
    let mut gone = Vec::new();
    for (key, entry, _) in store.cache().list()? {
        let is_shared = entry.layer.as_ref().is_some_and(|layer| shared.contains(&layer.digest));
        if (all || !is_shared) && conditions.take(Some(entry.created), &std::collections::BTreeMap::new()) {
            store.cache().forget(&key)?;
            gone.push(key.to_string());
        }
    }
    told("Deleted build cache objects:", &gone)?;
    Ok(!gone.is_empty())
}

/// Volumes that no container has.
pub fn volumes(site: &Site, all: bool, conditions: &Conditions, freed: &mut Bytes) -> Result {
    let links = volume::links(site)?;
    let mut gone = Vec::new();
    for found in site.volumes.list()? {
        let is_unused = (all || found.anonymous) && !links.contains_key(&found.name);
        if is_unused && conditions.take(Some(found.created), &found.labels) {
            let size = volume::size(site, &found.name);
            site.volumes.remove(&found.name).map_err(|error| Failure::Failed(error.into()))?;
            *freed += size;
            gone.push(found.name);
        }
    }
    told("Deleted Volumes:", &gone)
}

/// Blobs, and layers on each driver, that nothing needs any more.
pub fn unused_layers(place: &Place, store: &std::sync::Arc<Store>, freed: &mut Bytes) -> Result {
    rmi::prune_layers(place, store, &|entry| entry.open_in_turn(place, &Options::new()))?;
    *freed += store.gc(&[])?.freed();
    Ok(())
}
