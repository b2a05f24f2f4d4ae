//! Layers that were not looked at when the root was opened: each is read when it is first asked for.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use storage_driver::{Error, LayerId, Result};

use crate::{
    Record,
    open::{LAYERS, entries},
};

pub struct Unread<X> {
    layers: PathBuf,
    read: fn(&Path) -> Result<Option<Record<X>>>,
}

impl<X: DeserializeOwned> Unread<X> {
    pub fn below(root: &Path) -> Self {
        Self { layers: root.join(LAYERS), read: Record::read }
    }
}

impl<X> Unread<X> {
    /// A layer's record; `None` when there is no such layer.
    pub fn read(&self, id: &LayerId) -> Result<Option<Record<X>>> {
        let dir = self.layers.join(id.as_str());
        let corrupt = |why: &str| Error::Corrupt { path: dir.clone(), why: why.to_owned() };
        match (self.read)(&dir)? {
            Some(record) if record.info.id == *id => Ok(Some(record)),
            Some(_) => {
                Err(corrupt("its record is another layer's; restore it from a backup, or remove this directory"))
            }
            None if dir.exists() => {
                Err(corrupt("its record is missing; restore it from a backup, or remove this directory"))
            }
            None => Ok(None),
        }
    }

    /// The ids of all layers, read or not.
    pub fn ids(&self) -> Result<Vec<LayerId>> {
        let id = |path: PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            LayerId::new(name).map_err(|error| {
                let why = format!("it is no layer ({error}); move it elsewhere");
                Error::Corrupt { path: path.clone(), why }
            })
        };
        entries(&self.layers)?.into_iter().map(id).collect()
    }
}

impl<X> fmt::Debug for Unread<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").field("layers", &self.layers).finish_non_exhaustive()
    }
}
