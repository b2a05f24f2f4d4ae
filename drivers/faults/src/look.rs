//! What a driver shows of its layers, all of it.

use std::{collections::BTreeMap, io};

use storage_driver::{Error, LayerId, LayerInfo, MountMode, StorageDriver};
use storage_layer::{Digest, DigestWriter, Manifest};

/// Everything that can be seen of one layer.
#[derive(Debug)]
pub struct Seen {
    pub info: LayerInfo,
    /// Nothing where the driver says that what was written is lost.
    pub content: Option<Content>,
}

/// What a layer holds.
#[derive(Debug)]
pub struct Content {
    pub manifest: Manifest,
    /// Of the exported tar.
    pub diff: Digest,
}

/// All layers, by their ids.
pub type Layers = BTreeMap<LayerId, Seen>;

/// Looks at every layer in every way; the error says at which it failed.
pub fn look(driver: &dyn StorageDriver) -> Result<Layers, String> {
    let listed = driver.list().map_err(|error| format!("list: {error}"))?;
    let mut layers = Layers::new();
    for info in listed {
        let id = info.id.clone();
        let seen = look_at(driver, info).map_err(|what| format!("layer {id}: {what}"))?;
        layers.insert(id, seen);
    }
    Ok(layers)
}

fn look_at(driver: &dyn StorageDriver, info: LayerInfo) -> Result<Seen, String> {
    let id = &info.id;
    let stat = driver.stat(id).map_err(|error| format!("stat: {error}"))?;
    if stat != info {
        return Err(format!("stat says {stat:?}, and list {info:?}"));
    }
    let mut tar = DigestWriter::new(io::sink());
    match driver.diff(id, &mut tar) {
        Err(Error::Lost { .. }) => return Ok(Seen { info, content: None }),
        exported => exported.map_err(|error| format!("diff: {error}"))?,
    };
    let mounted = driver.mount(id, MountMode::ReadOnly).map_err(|error| format!("mount: {error}"))?;
    let manifest = Manifest::scan(mounted.path());
    mounted.close().map_err(|error| format!("unmount: {error}"))?;
    let manifest = manifest.map_err(|error| format!("read: {error}"))?;
    driver.changes(id).map_err(|error| format!("changes: {error}"))?;
    driver.usage(id).map_err(|error| format!("usage: {error}"))?;
    let (_, diff, _) = tar.finish();
    Ok(Seen { info, content: Some(Content { manifest, diff }) })
}
