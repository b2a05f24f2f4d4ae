//! Volumes: directories with names, which outlive the containers that mount them.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use storage_driver::Timestamp;
use storage_layer::copy::{self, CopyOptions};
use storage_root::{Durability, write_atomically};

use crate::{Error, Result};

const RECORD: &str = "volume.json";
const DATA: &str = "_data";

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// For people and programs.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether nobody named it.
    #[serde(default)]
    pub anonymous: bool,
}

/// All volumes of one data directory: `<name>/volume.json` and `<name>/_data/`.
#[derive(Debug, Clone)]
pub struct Volumes {
    dir: PathBuf,
}

impl Volumes {
    /// Opens the directory, and makes it where there is none.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(dir: PathBuf) -> Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(&dir).map_err(Error::io("create", &dir))?;
        Ok(Self { dir })
    }

    /// Where a volume's files are.
    #[must_use]
    pub fn data(&self, name: &str) -> PathBuf {
        self.dir.join(name).join(DATA)
    }

    /// Where they are.
    pub(crate) fn root(&self) -> &Path {
        &self.dir
    }

    /// Makes a volume; one that is there is left as it is. Whether it was made.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the name; what the file system says.
    pub fn create(&self, name: &str, labels: BTreeMap<String, String>, anonymous: bool) -> Result<bool> {
        check_name(name)?;
        if self.find(name).is_ok() {
            return Ok(false);
        }
        let dir = self.dir.join(name);
        let data = dir.join(DATA);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&data).map_err(Error::io("create", data))?;
        let created = Timestamp::from_system(SystemTime::now());
        let volume = Volume { name: name.to_owned(), created, labels, anonymous };
        let json = serde_json::to_vec(&volume).map_err(|error| Error::io("write", &dir)(io::Error::other(error)))?;
        // The record last: a directory without one is no volume, and is taken for a new one.
        write_atomically(&dir, RECORD, &json, Durability::Skip)?;
        Ok(true)
    }

    /// A volume by its name.
    ///
    /// # Errors
    /// [`Error::NoVolume`], [`Error::Damaged`].
    pub fn find(&self, name: &str) -> Result<Volume> {
        let missing = || Error::NoVolume { name: name.to_owned() };
        check_name(name).map_err(|_| missing())?;
        let path = self.dir.join(name).join(RECORD);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| Error::Damaged { path, why: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// [`Error::Damaged`]; what the file system says.
    pub fn list(&self) -> Result<Vec<Volume>> {
        let mut volumes = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(Error::io("read", &self.dir))? {
            let name = entry.map_err(Error::io("read", &self.dir))?.file_name();
            match self.find(&name.to_string_lossy()) {
                Ok(volume) => volumes.push(volume),
                Err(Error::NoVolume { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        volumes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(volumes)
    }

    /// Takes a volume and all its files away. That no container has it is the caller's to know.
    ///
    /// # Errors
    /// [`Error::NoVolume`]; what the file system says.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.find(name)?;
        let dir = self.dir.join(name);
        fs::remove_file(dir.join(RECORD)).map_err(Error::io("remove", &dir))?;
        fs::remove_dir_all(&dir).map_err(Error::io("remove", dir))
    }

    /// Gives an empty volume what the image has at its place, with owners and permissions, as docker does.
    pub(crate) fn fill(&self, name: &str, from: &Path) -> Result<()> {
        let data = self.data(name);
        let empty = fs::read_dir(&data).map_err(Error::io("read", &data))?.next().is_none();
        if !empty || !from.is_dir() {
            return Ok(());
        }
        copy::tree(from, &data, &CopyOptions::default())?;
        Ok(())
    }
}

/// Docker's rule.
fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.len() > 1
        && name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(allowed)
    {
        return Ok(());
    }
    Err(Error::invalid(
        format!("the volume name {name:?}"),
        "it has to be 2 to 255 letters, digits, '_', '.' and '-', the first a letter or digit; a path of the host begins with /",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_made_filled_once_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        fs::create_dir(&image).unwrap();
        fs::write(image.join("file"), "from the image").unwrap();
        let volumes = Volumes::open(dir.path().join("volumes")).unwrap();
        assert!(volumes.create("data", BTreeMap::new(), false).unwrap());
        assert!(!volumes.create("data", BTreeMap::new(), false).unwrap());
        volumes.fill("data", &image).unwrap();
        let file = volumes.data("data").join("file");
        assert_eq!(fs::read(&file).unwrap(), b"from the image");
        fs::write(&file, "changed").unwrap();
        volumes.fill("data", &image).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"changed");
        assert_eq!(volumes.list().unwrap()[0].name, "data");
        volumes.remove("data").unwrap();
        assert!(matches!(volumes.remove("data"), Err(Error::NoVolume { .. })));
        for name in ["", "x", "../x", ".x", "a b"] {
            assert!(volumes.create(name, BTreeMap::new(), false).is_err(), "{name}");
        }
    }
}
