//! All containers of one data directory.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Serialize, de::DeserializeOwned};
use storage_root::{Durability, write_atomically, write_volatile};

use crate::{Configuration, Error, Ipc, Record, Result, State, Status, record::Phase, shm};

const RECORD: &str = "container.json";
const STATE: &str = "state.json";
const SPEC: &str = "spec.json";
const LOCK: &str = "lock";
const NAMES: &str = ".names";

/// All containers of one data directory. Finding one by its id or name costs the same however many there are.
#[derive(Debug, Clone)]
pub struct Containers {
    dir: PathBuf,
}

/// A container's directory, held by the one who looks after the container; the lock tells others that somebody does.
#[derive(Debug)]
pub struct Held {
    dir: PathBuf,
    lock: File,
}

impl Containers {
    /// Opens the directory, and makes it where there is none.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(dir: PathBuf) -> Result<Self> {
        let names = dir.join(NAMES);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&names).map_err(Error::io("create", names))?;
        Ok(Self { dir })
    }

    /// A container's own directory.
    #[must_use]
    pub fn dir(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    /// Makes a container's directory and holds it.
    ///
    /// # Errors
    /// [`Error::NameTaken`]; what the file system says. Nothing is left then.
    pub fn create(&self, record: &Record) -> Result<Held> {
        self.take_name(&record.name, &record.id)?;
        let dir = self.dir(&record.id);
        let make = || -> Result<Held> {
            fs::DirBuilder::new().mode(0o700).create(&dir).map_err(Error::io("create", &dir))?;
            let path = dir.join(LOCK);
            let lock = File::create(&path).map_err(Error::io("create", path))?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(Error::io("lock", &dir))?;
            let held = Held { dir: dir.clone(), lock };
            // The record last: without one a container is not there.
            held.write_state(&State::default())?;
            held.write(record)?;
            Ok(held)
        };
        make().inspect_err(|_| {
            let _ = fs::remove_dir_all(&dir);
            self.give_name_back(&record.name, &record.id);
        })
    }

    /// Holds a container that nobody looks after; waits that long for who does.
    ///
    /// # Errors
    /// [`Error::Refused`] when somebody still does after that; [`Error::NotFound`] when it is gone.
    pub fn hold(&self, record: &Record, patience: Duration) -> Result<Held> {
        let dir = self.dir(&record.id);
        let gone = || Error::NotFound { name: record.name.clone() };
        let lock = match File::open(dir.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone()),
            other => other.map_err(Error::io("open", dir.join(LOCK)))?,
        };
        let deadline = Instant::now() + patience;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if dir.join(RECORD).exists() => return Ok(Held { dir, lock }),
                Ok(()) => return Err(gone()),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::refused(&record.name, "is in use by another process; try again"));
                }
                Err(error) => return Err(Error::io("lock", dir)(error)),
            }
        }
    }

    /// All containers, newest first.
    ///
    /// # Errors
    /// [`Error::Damaged`]; what the file system says.
    pub fn list(&self) -> Result<Vec<(Record, Status)>> {
        let mut found = Vec::new();
        for dir in self.directories()? {
            // A container that is being made or removed has no record.
            if let Some(record) = read::<Record>(&dir.join(RECORD))? {
                let state = read::<State>(&dir.join(STATE))?;
                // The state of one that vanishes with its end is not on the disk before the file system brings it there. One that
                // a power loss took is of a container that was started, or will not be missed.
                let lost = || if record.auto_remove { Phase::Running } else { Phase::default() };
                let state = state.unwrap_or_else(|| State { phase: lost(), ..State::default() });
                found.push((record, Status::of(&state, is_held(&dir)?)));
            }
        }
        found.sort_by_key(|(record, _)| std::cmp::Reverse(record.created));
        Ok(found)
    }

    /// The one container with this name, id, or unique beginning of an id.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::Damaged`]; what the file system says.
    pub fn find(&self, name: &str) -> Result<Record> {
        let missing = || Error::NotFound { name: name.to_owned() };
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(missing());
        }
        for dir in [self.dir.join(NAMES).join(name), self.dir.join(name)] {
            if let Some(record) = read::<Record>(&dir.join(RECORD))? {
                return Ok(record);
            }
        }
        let begins = |dir: &PathBuf| dir.file_name().is_some_and(|id| id.to_string_lossy().starts_with(name));
        let matching: Vec<_> = self.directories()?.into_iter().filter(begins).collect();
        match matching.as_slice() {
            [] => Err(missing()),
            [one] => read(&one.join(RECORD))?.ok_or_else(missing),
            _ => Err(Error::Ambiguous { name: name.to_owned() }),
        }
    }

    /// How a container is doing.
    ///
    /// # Errors
    /// [`Error::Damaged`]; what the file system says.
    pub fn state(&self, id: &str) -> Result<(State, Status)> {
        let dir = self.dir(id);
        // In this order: a supervisor that ends writes how, and then lets go.
        let held = is_held(&dir)?;
        let state = read_state(&dir)?;
        let status = Status::of(&state, held);
        Ok((state, status))
    }

    /// The OCI runtime specification of the last start.
    ///
    /// # Errors
    /// [`Error::Damaged`]; what the file system says.
    pub fn spec(&self, id: &str) -> Result<Option<oci_spec::runtime::Spec>> {
        read(&self.dir(id).join(SPEC))
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// [`Error::NameTaken`]; what the file system says. It has its old name then.
    pub fn rename(&self, record: &Record, name: &str) -> Result<()> {
        self.take_name(name, &record.id)?;
        let renamed = Record { name: name.to_owned(), ..record.clone() };
        if let Err(error) = write(&self.dir(&record.id), RECORD, &renamed, Durability::Skip) {
            self.give_name_back(name, &record.id);
            return Err(error);
        }
        self.give_name_back(&record.name, &record.id);
        Ok(())
    }

    /// Replaces a container's configuration, whether it runs or not; its supervisor reads it before it starts it again.
    ///
    /// # Errors
    /// What the file system says.
    pub fn update(&self, record: &Record, configuration: Configuration) -> Result<()> {
        let updated = Record { configuration, ..record.clone() };
        write(&self.dir(&record.id), RECORD, &updated, Durability::Skip)
    }

    /// Takes a container away that is held; its layer is the caller's to remove first.
    ///
    /// # Errors
    /// What the file system says.
    #[allow(clippy::needless_pass_by_value)] // Nobody holds what is gone.
    pub fn remove(&self, record: &Record, held: Held) -> Result<()> {
        // The record first: without one the rest is nobody's.
        let path = held.dir.join(RECORD);
        fs::remove_file(&path).map_err(Error::io("remove", path))?;
        self.give_name_back(&record.name, &record.id);
        if record.configuration.ipc == Ipc::Shareable {
            shm::detach(&held.dir)?;
        }
        fs::remove_dir_all(&held.dir).map_err(Error::io("remove", &held.dir))
    }

    /// Takes directories away that have no record and whose maker is gone, and names of containers that are gone.
    ///
    /// # Errors
    /// What the file system says.
    pub fn collect(&self) -> Result<Vec<PathBuf>> {
        let mut gone = Vec::new();
        for dir in self.directories()? {
            if read::<Record>(&dir.join(RECORD))?.is_none() && !is_held(&dir)? {
                shm::detach(&dir)?;
                fs::remove_dir_all(&dir).map_err(Error::io("remove", &dir))?;
                gone.push(dir);
            }
        }
        let names = self.dir.join(NAMES);
        for entry in fs::read_dir(&names).map_err(Error::io("read", &names))? {
            let link = entry.map_err(Error::io("read", &names))?.path();
            if !link.exists() {
                fs::remove_file(&link).map_err(Error::io("remove", &link))?;
                gone.push(link);
            }
        }
        Ok(gone)
    }

    fn directories(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(Error::io("read", &self.dir))?;
        let is_container = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
        Ok(entries.iter().filter(|entry| is_container(entry)).map(fs::DirEntry::path).collect())
    }

    /// Making a symbolic link fails where there is one, so a name has one owner.
    fn take_name(&self, name: &str, id: &str) -> Result<()> {
        check_name(name)?;
        let link = self.dir.join(NAMES).join(name);
        let target = Path::new("..").join(id);
        for _ in 0..2 {
            match symlink(&target, &link) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other.map_err(Error::io("create", &link)),
            }
            let owner = fs::read_link(&link).ok();
            let owner = owner.as_deref().and_then(Path::file_name).map(|id| id.to_string_lossy().into_owned());
            match owner {
                Some(owner) if self.dir.join(&owner).exists() => {
                    return Err(Error::NameTaken { name: name.to_owned(), id: owner.chars().take(12).collect() });
                }
                // Its owner's making or removal was cut short.
                _ => _ = fs::remove_file(&link),
            }
        }
        Err(Error::NameTaken { name: name.to_owned(), id: "being made".to_owned() })
    }

    fn give_name_back(&self, name: &str, id: &str) {
        let link = self.dir.join(NAMES).join(name);
        if fs::read_link(&link).is_ok_and(|target| target.ends_with(id)) {
            let _ = fs::remove_file(link);
        }
    }
}

impl Held {
    /// The container's own directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Replaces the record.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, record: &Record) -> Result<()> {
        write(&self.dir, RECORD, record, Durability::Skip)
    }

    /// Replaces the record, which is on the disk when this returns.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_durably(&self, record: &Record) -> Result<()> {
        write(&self.dir, RECORD, record, Durability::Sync)
    }

    /// Replaces the state.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_state(&self, state: &State) -> Result<()> {
        write(&self.dir, STATE, state, Durability::Skip)
    }

    /// As [`write_state`](Self::write_state), of a container that is worth nothing after a power loss.
    pub(crate) fn write_volatile_state(&self, state: &State) -> Result<()> {
        Ok(write_volatile(&self.dir, STATE, &to_json(&self.dir, STATE, state)?)?)
    }

    pub(crate) fn write_spec(&self, spec: &oci_spec::runtime::Spec) -> Result<()> {
        write(&self.dir, SPEC, spec, Durability::Skip)
    }
}

impl Drop for Held {
    /// Closing is not enough: a process that another thread has forked may hold the same open file for a moment.
    fn drop(&mut self) {
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// Docker's rule for names.
fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.len() > 1
        && name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(allowed)
    {
        return Ok(());
    }
    Err(Error::invalid(
        format!("the container name {name:?}"),
        "it has to be 2 to 128 letters, digits, '_', '.' and '-', the first a letter or digit",
    ))
}

fn write<T: Serialize>(dir: &Path, name: &str, value: &T, durability: Durability) -> Result<()> {
    Ok(write_atomically(dir, name, &to_json(dir, name, value)?, durability)?)
}

fn to_json<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::io("write", dir.join(name))(io::Error::other(error)))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        // Made by a process that the power left before the file's data was written.
        Ok(json) if json.iter().all(|&byte| byte == 0) => Ok(None),
        Ok(json) => {
            let damaged = |error: serde_json::Error| Error::Damaged { path: path.to_owned(), why: error.to_string() };
            serde_json::from_slice(&json).map(Some).map_err(damaged)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

fn read_state(dir: &Path) -> Result<State> {
    Ok(read(&dir.join(STATE))?.unwrap_or_default())
}

fn is_held(dir: &Path) -> Result<bool> {
    let path = dir.join(LOCK);
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(Error::io("lock", path)(error)),
    }
}

#[cfg(test)]
mod tests;
