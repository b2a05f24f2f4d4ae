use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, FileTimes},
    io,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use storage_driver::Timestamp;
use storage_layer::Digest;
use storage_root::Durability;

use crate::{ChainId, Error, LayerBlob, Result, Store, document, durable};

/// What one build step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// The instruction, for people.
    pub instruction: String,
    /// The layer; `None` for a step that changed the configuration only.
    pub layer: Option<LayerBlob>,
    /// The chain that ends in this step; `None` while there is no layer.
    pub chain: Option<ChainId>,
    /// When the step ran.
    pub created: Timestamp,
    /// Whatever else the builder wants to remember.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

/// What build steps made, by a key that the builder computes from the step and all it depends on.
///
/// Losing an entry loses time, never data: one that is damaged, or whose layer is gone, is forgotten. Layers of
/// entries stay in the store until the entry is [`prune`](Self::prune)d.
#[derive(Debug, Clone, Copy)]
pub struct Cache<'s> {
    store: &'s Store,
}

impl<'s> Cache<'s> {
    pub(crate) const fn new(store: &'s Store) -> Self {
        Self { store }
    }

    /// The entry for a key; counts as a use of it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn get(&self, key: &Digest) -> Result<Option<CacheEntry>> {
        let path = self.path(key);
        let Some(entry) = self.read(&path)? else { return Ok(None) };
        let is_there = |layer: &LayerBlob| self.store.blobs().size(&layer.digest).is_ok_and(|size| size == layer.size);
        if !entry.layer.as_ref().is_none_or(is_there) {
            forget(&path)?;
            return Ok(None);
        }
        // The time of the last use decides what is pruned first; that it is not exact does no harm.
        let _ = File::open(&path).and_then(|file| file.set_times(FileTimes::new().set_modified(SystemTime::now())));
        Ok(Some(entry))
    }

    /// Remembers what a step made, in the place of what was there.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] for a layer that is not in the store; what the file system says.
    pub fn put(&self, key: &Digest, entry: &CacheEntry) -> Result<()> {
        let _held = self.store.lease()?;
        if let Some(layer) = &entry.layer {
            self.store.blobs().size(&layer.digest)?;
        }
        let dir = self.dir();
        fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let json = document::to_json(entry)?;
        // Never synced: see above.
        durable::replace(&self.path(key), &json, self.store.blobs().tmp(), Durability::Skip)
    }

    /// All entries with their keys and last uses, the most recently used first.
    ///
    /// # Errors
    /// What the file system says.
    pub fn list(&self) -> Result<Vec<(Digest, CacheEntry, SystemTime)>> {
        let mut entries = Vec::new();
        for (key, path, used) in self.files()? {
            if let Some(entry) = self.read(&path)? {
                entries.push((key, entry, used));
            }
        }
        entries.sort_by_key(|(key, _, used)| (std::cmp::Reverse(*used), *key));
        Ok(entries)
    }

    /// Forgets the entries that were not used for this long (all of them for zero) and returns their keys. Their
    /// layers go with the next [`Store::gc`].
    ///
    /// # Errors
    /// What the file system says.
    pub fn prune(&self, unused_for: Duration) -> Result<Vec<Digest>> {
        let now = SystemTime::now();
        let mut forgotten = Vec::new();
        for (key, path, used) in self.files()? {
            if now.duration_since(used).unwrap_or_default() >= unused_for {
                forget(&path)?;
                forgotten.push(key);
            }
        }
        Ok(forgotten)
    }

    /// Forgets one entry; none of that key is no error. Its layer goes with the next [`Store::gc`].
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget(&self, key: &Digest) -> Result<()> {
        forget(&self.path(key))
    }

    /// The blobs of all layers that entries have.
    pub(crate) fn blobs(&self) -> Result<BTreeSet<Digest>> {
        let entries = self.list()?.into_iter();
        Ok(entries.filter_map(|(_, entry, _)| entry.layer).map(|layer| layer.digest).collect())
    }

    /// The chains that entries end in.
    pub(crate) fn chains(&self) -> Result<BTreeSet<ChainId>> {
        Ok(self.list()?.into_iter().filter_map(|(_, entry, _)| entry.chain).collect())
    }

    fn dir(&self) -> PathBuf {
        self.store.root().join("cache")
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.dir().join(format!("{}.json", key.hex()))
    }

    fn read(&self, path: &PathBuf) -> Result<Option<CacheEntry>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        match serde_json::from_slice(&bytes) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a damaged cache entry is forgotten");
                forget(path)?;
                Ok(None)
            }
        }
    }

    fn files(&self) -> Result<Vec<(Digest, PathBuf, SystemTime)>> {
        let dir = self.dir();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", dir)(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &dir))?;
            let name = entry.file_name();
            let key = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(key) = key.and_then(|hex| format!("sha256:{hex}").parse().ok()) else { continue };
            if let Ok(used) = entry.metadata().and_then(|metadata| metadata.modified()) {
                files.push((key, entry.path(), used));
            }
        }
        Ok(files)
    }
}

fn forget(path: &PathBuf) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("delete", path)(error)),
        _ => Ok(()),
    }
}
