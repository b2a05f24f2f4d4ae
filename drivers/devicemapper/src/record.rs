//! What is kept on disk of the pool and of each layer.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};
use storage_driver::{Bytes, Error, Result};
use storage_root::{Durability, write_atomically};

use crate::{NAME, filesystem::Fs, options::Store};

pub const FILE: &str = "pool.json";

/// The pool's record: what it is, and which session of it was the last.
///
/// Opening the root begins a session: the next number is written here, made durable, and then set as the pool's own
/// transaction id. So pool and record are never more than one apart, unless one of them is not the other's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRecord {
    /// In the names of all our devices.
    pub identity: String,
    pub block_size: Bytes,
    pub store: StoreRecord,
    /// Of the data file, or of what is usable of the device.
    pub data_size: Bytes,
    pub metadata_size: Bytes,
    /// The pool's transaction id during the last session.
    pub session: u64,
    /// What layers without a parent are made of.
    pub bases: BTreeMap<Fs, Base>,
}

/// An empty file system that others are snapshots of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub device: ThinId,
    pub sectors: u64,
    pub holds: Held,
}

/// A thin device. Numbers may be given again after a crash took back what nobody had been told of; together with the
/// session that made it, which the pool itself remembers, the number means one device for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ThinId {
    pub number: u32,
    pub session: u64,
}

/// What a file system held when it was last looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub bytes: Bytes,
    pub inodes: u64,
}

/// This driver's part of a layer's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    pub device: ThinId,
    pub sectors: u64,
    pub fs: Fs,
    /// What it is a snapshot of: its parent's device, or the base.
    pub origin: u32,
    /// What was there when it was made.
    pub below: Held,
    /// What is there; known from its sealing on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Held>,
    /// The most that the file system may hold in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Bytes>,
    /// The device is larger than the file system was when the layer was made: mounting lets that grow.
    #[serde(default)]
    pub grows: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreRecord {
    Files,
    Device,
    Devices,
}

impl From<&Store> for StoreRecord {
    fn from(store: &Store) -> Self {
        match store {
            Store::Files => Self::Files,
            Store::Device(_) => Self::Device,
            Store::Devices { .. } => Self::Devices,
        }
    }
}

impl PoolRecord {
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        serde_json::from_slice(&json).map(Some).map_err(|error| Error::Corrupt {
            path,
            why: format!("it is no {NAME} pool's record ({error}); restore it from a backup"),
        })
    }

    pub fn write(&self, dir: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::io("write", dir.join(FILE))(std::io::Error::other(error)))?;
        // Also with sync=off: this is one small file an opening, and a pool without its record is lost.
        write_atomically(dir, FILE, &json, Durability::Sync)
    }
}

/// Which session's pool the record belongs to, given the transaction id that the pool has: the record is written
/// first, so it may be one ahead.
pub fn belong_together(record: u64, pool: u64) -> bool {
    record == pool || record == pool.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_ahead_at_most() {
        assert!(belong_together(3, 3) && belong_together(4, 3));
        assert!(!belong_together(3, 4) && !belong_together(5, 3));
    }

    #[test]
    fn a_record_comes_back_and_damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(PoolRecord::read(dir.path()).unwrap(), None);
        let device = ThinId { number: 1, session: 1 };
        let base = Base { device, sectors: 2048, holds: Held { bytes: Bytes(7), inodes: 11 } };
        let record = PoolRecord {
            identity: "0123456789abcdef".to_owned(),
            block_size: Bytes(65536),
            store: StoreRecord::Files,
            data_size: Bytes(1 << 30),
            metadata_size: Bytes(1 << 20),
            session: 5,
            bases: BTreeMap::from([(Fs::Xfs, base)]),
        };
        record.write(dir.path()).unwrap();
        assert_eq!(PoolRecord::read(dir.path()).unwrap(), Some(record));
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(matches!(PoolRecord::read(dir.path()), Err(Error::Corrupt { .. })));
    }
}
