use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fs::File, io::Read, path::Path};
use storage_driver::{Error, LayerInfo, Result};

use crate::write_atomically;

/// Whether sealed layers and removals reach the disk before a call returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// They do.
    #[default]
    Sync,
    /// They do not: after a power loss anything may be missing. For measurements, and recorded in them.
    Skip,
}

impl Durability {
    /// True for [`Durability::Sync`].
    #[must_use]
    pub const fn syncs(self) -> bool {
        matches!(self, Self::Sync)
    }
}

/// What is kept of one layer; `X` is the driver's own part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<X> {
    /// What every driver tells of a layer.
    #[serde(flatten)]
    pub info: LayerInfo,
    /// How many layers the chain has with this one; 1 at the bottom.
    pub depth: u32,
    /// The driver's own facts.
    pub driver: X,
}

impl<X> Record<X> {
    /// The record's name in its layer's directory.
    pub(crate) const FILE: &'static str = "layer.json";
    const ASIDE: &'static str = ".layer.json.settled";

    /// Makes the record that was written aside the one that is read, with one rename and no sync.
    pub(crate) fn put_in_place(layer_dir: &Path) -> Result<()> {
        let path = layer_dir.join(Self::FILE);
        std::fs::rename(layer_dir.join(Self::ASIDE), &path).map_err(Error::io("write", &path))
    }
}

impl<X: Serialize> Record<X> {
    pub(crate) fn write(&self, layer_dir: &Path, durability: Durability) -> Result<()> {
        write_atomically(layer_dir, Self::FILE, &self.json(layer_dir)?, durability)
    }

    /// Writes the record beside the one that is read, for [`put_in_place`](Self::put_in_place).
    pub(crate) fn write_aside(&self, layer_dir: &Path) -> Result<()> {
        let path = layer_dir.join(Self::ASIDE);
        let written = std::fs::write(&path, self.json(layer_dir)?);
        written.map_err(Error::io("write", &path)).inspect_err(|_| _ = std::fs::remove_file(&path))
    }

    fn json(&self, layer_dir: &Path) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::io("write", layer_dir.join(Self::FILE))(std::io::Error::other(error)))?;
        json.push(b'\n');
        Ok(json)
    }
}

impl<X: DeserializeOwned> Record<X> {
    /// Reads a layer's record; `None` when it is missing, empty or all zeroes, which is how a layer looks that
    /// was never sealed when the power went.
    pub(crate) fn read(layer_dir: &Path) -> Result<Option<Self>> {
        let path = layer_dir.join(Self::FILE);
        let json = match read_small(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        if json.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        serde_json::from_slice(&json).map(Some).map_err(|error| Error::Corrupt {
            path,
            why: format!("it is no layer record ({error}); restore it from a backup, or remove the layer's directory"),
        })
    }
}

/// Opening a root reads as many records as there are layers, and fstat(2) and a last empty read(2) would be two calls of five.
fn read_small(path: &Path) -> std::io::Result<Vec<u8>> {
    const USUAL: usize = 4096;
    let mut file = File::open(path)?;
    let mut content = vec![0; USUAL];
    let length = file.read(&mut content)?;
    content.truncate(length);
    // Of a regular file less than was asked for is all that there is (read(2)).
    if length == USUAL {
        file.read_to_end(&mut content)?;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_any_length_are_read_whole() {
        let place = tempfile::tempdir().unwrap();
        for length in [0, 1, 4095, 4096, 4097, 100_000] {
            let content: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let path = place.path().join("f");
            std::fs::write(&path, &content).unwrap();
            assert_eq!(read_small(&path).unwrap(), content);
        }
    }
}
