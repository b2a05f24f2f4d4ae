//! What is kept of containers: one directory each, with a record that outlives the program.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use storage_driver::{LayerId, Timestamp};

/// One container, as it was made and as it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub name: String,
    /// As the user named it.
    pub image: String,
    /// Digest of the image's configuration.
    pub image_id: String,
    pub driver: String,
    /// The container's writable layer.
    pub layer: LayerId,
    pub command: Vec<String>,
    /// It was to vanish with its end (`--rm`).
    pub auto_remove: bool,
    pub created: Timestamp,
    pub finished: Option<Timestamp>,
    /// As a shell sees it: the code, or 128 and the signal.
    pub status: Option<i32>,
}

/// How a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its process is alive, under the program that started it.
    Running,
    /// It ended with this status.
    Exited(i32),
    /// The program that ran it was killed.
    Dead,
}

/// All containers of one data directory.
#[derive(Debug)]
pub struct Containers {
    dir: PathBuf,
}

/// A container's directory, held while the container lives; the lock tells others that it does.
#[derive(Debug)]
pub struct Held {
    dir: PathBuf,
    _lock: File,
}

const RECORD: &str = "container.json";
const LOCK: &str = "lock";

impl Containers {
    pub fn open(dir: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// Makes a container's directory and holds it.
    pub fn create(&self, record: &Record) -> anyhow::Result<Held> {
        let dir = self.dir.join(&record.id);
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let lock =
            File::create(dir.join(LOCK)).with_context(|| format!("cannot create {}", dir.join(LOCK).display()))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .with_context(|| format!("cannot lock {}", dir.display()))?;
        let held = Held { dir, _lock: lock };
        held.write(record)?;
        Ok(held)
    }

    /// Holds a container that has ended, to change it.
    pub fn hold(&self, id: &str) -> anyhow::Result<Held> {
        let dir = self.dir.join(id);
        let lock = File::open(dir.join(LOCK)).with_context(|| format!("cannot open {}", dir.join(LOCK).display()))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .with_context(|| format!("container {id} is in use by another program"))?;
        Ok(Held { dir, _lock: lock })
    }

    /// All containers, newest first.
    pub fn list(&self) -> anyhow::Result<Vec<(Record, State)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).with_context(|| format!("cannot read {}", self.dir.display()))? {
            let dir = entry?.path();
            // A container that is being made or removed has no record.
            if let Some(record) = read(&dir)? {
                let state = state(&dir, &record)?;
                found.push((record, state));
            }
        }
        found.sort_by_key(|(record, _)| std::cmp::Reverse(record.created));
        Ok(found)
    }

    /// The one container with this name, id, or unique beginning of an id.
    pub fn find(&self, name: &str) -> anyhow::Result<(Record, State)> {
        let all = self.list()?;
        if let Some(exact) = all.iter().find(|(record, _)| record.name == name || record.id == name) {
            return Ok(exact.clone());
        }
        let mut matching = all.into_iter().filter(|(record, _)| !name.is_empty() && record.id.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(anyhow!("more than one container's id begins with {name}")),
            (None, _) => Err(anyhow!("no such container: {name}")),
        }
    }

    /// Takes a container's directory away; its layer is the caller's to remove first.
    pub fn remove(&self, id: &str) -> anyhow::Result<()> {
        let dir = self.dir.join(id);
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
    }

    /// Directories without a record whose maker is gone.
    pub fn unfinished(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).with_context(|| format!("cannot read {}", self.dir.display()))? {
            let dir = entry?.path();
            if read(&dir)?.is_none() && !is_held(&dir)? {
                found.push(dir);
            }
        }
        Ok(found)
    }
}

impl Held {
    /// Replaces the record. Nothing is synced: a container's record need only be whole or absent after a crash.
    pub fn write(&self, record: &Record) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(record)?;
        storage_root::write_atomically(&self.dir, RECORD, &json, storage_root::Durability::Skip)?;
        Ok(())
    }

    /// Replaces the record, which is on the disk when this returns.
    pub fn write_durably(&self, record: &Record) -> anyhow::Result<()> {
        let json = serde_json::to_vec_pretty(record)?;
        storage_root::write_atomically(&self.dir, RECORD, &json, storage_root::Durability::Sync)?;
        Ok(())
    }

    /// Takes the directory away.
    pub fn remove(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.dir).with_context(|| format!("cannot remove {}", self.dir.display()))
    }
}

fn read(dir: &Path) -> anyhow::Result<Option<Record>> {
    let path = dir.join(RECORD);
    match fs::read(&path) {
        Ok(json) if json.iter().all(|&byte| byte == 0) => Ok(None),
        Ok(json) => {
            let record = serde_json::from_slice(&json);
            record.map(Some).with_context(|| format!("{} is damaged; remove its directory", path.display()))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn state(dir: &Path, record: &Record) -> anyhow::Result<State> {
    Ok(match record.status {
        Some(status) => State::Exited(status),
        None if is_held(dir)? => State::Running,
        None => State::Dead,
    })
}

fn is_held(dir: &Path) -> anyhow::Result<bool> {
    let lock = match File::open(dir.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", dir.join(LOCK).display())),
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", dir.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, name: &str) -> Record {
        Record {
            id: id.to_owned(),
            name: name.to_owned(),
            image: "host".to_owned(),
            image_id: String::new(),
            driver: "vfs".to_owned(),
            layer: LayerId::new("a").unwrap(),
            command: vec!["true".to_owned()],
            auto_remove: false,
            created: Timestamp(1),
            finished: None,
            status: None,
        }
    }

    #[test]
    fn a_container_runs_while_it_is_held_and_is_dead_after() {
        let dir = tempfile::tempdir().unwrap();
        let containers = Containers::open(dir.path().to_owned()).unwrap();
        let held = containers.create(&record("abc", "web")).unwrap();
        assert_eq!(containers.find("web").unwrap().1, State::Running);
        drop(held);
        assert_eq!(containers.find("ab").unwrap().1, State::Dead);
        containers.remove("abc").unwrap();
        assert!(containers.find("web").is_err());
    }

    #[test]
    fn short_ids_must_be_unique() {
        let dir = tempfile::tempdir().unwrap();
        let containers = Containers::open(dir.path().to_owned()).unwrap();
        let _held = [containers.create(&record("ab1", "x")).unwrap(), containers.create(&record("ab2", "y")).unwrap()];
        assert!(containers.find("ab").unwrap_err().to_string().contains("more than one"));
        assert_eq!(containers.find("ab2").unwrap().0.name, "y");
        assert_eq!(containers.find("x").unwrap().0.id, "ab1");
    }
}
