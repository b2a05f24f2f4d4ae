//! Opening a root: format check and taking away what a crash left.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use storage_driver::{Error, LayerId, LayerState, Leftover, Result};
use storage_sys::{mount, mountinfo};

use crate::{
    Durability, Record,
    hold::{self, Found, HELD},
    write_atomically,
};

pub const LAYERS: &str = "layers";
pub const STAGING: &str = "staging";
pub const TRASH: &str = "trash";
const FORMAT_FILE: &str = "format.json";
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Format {
    format: u32,
    driver: String,
}

/// Makes the directories; only their owner may look inside, since layers hold other people's setuid files.
pub fn make(path: &Path) -> Result<PathBuf> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    for dir in [LAYERS, STAGING, TRASH, HELD] {
        let dir = path.join(dir);
        builder.create(&dir).map_err(Error::io("create", dir))?;
    }
    // What layers are made in must hand nothing down to them: no group (setgid), no ACL of whoever made the root.
    let staging = path.join(STAGING);
    let mode = fs::metadata(&staging).map_err(Error::io("examine", &staging))?.permissions().mode();
    if mode & 0o7777 != 0o700 {
        fs::set_permissions(&staging, fs::Permissions::from_mode(0o700)).map_err(Error::io("chmod", &staging))?;
    }
    _ = rustix::fs::removexattr(&staging, "system.posix_acl_default");
    fs::canonicalize(path).map_err(Error::io("open", path))
}

pub fn check_format(root: &Path, driver: &'static str, durability: Durability) -> Result<()> {
    let path = root.join(FORMAT_FILE);
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let format = Format { format: FORMAT, driver: driver.to_owned() };
            let json =
                serde_json::to_vec(&format).map_err(|error| Error::io("write", &path)(std::io::Error::other(error)))?;
            return write_atomically(root, FORMAT_FILE, &json, durability);
        }
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let unusable = |why| Error::Unusable { driver, root: root.to_owned(), why };
    let found: Format = serde_json::from_slice(&json).map_err(|error| Error::Corrupt {
        path,
        why: format!("it is no format file ({error}); is this really a driver's root?"),
    })?;
    if found.driver != driver {
        return Err(unusable(format!("it holds layers of {}; choose another --root", found.driver)));
    }
    if found.format > FORMAT {
        return Err(unusable(format!(
            "it has format {}, and this program knows up to {FORMAT}; use a newer one",
            found.format
        )));
    }
    Ok(())
}

/// Detaches mounts below the root that nobody holds: nobody else can have made them, since we have the lock.
pub fn detach_mounts(root: &Path, found: &Found) -> Result<Vec<Leftover>> {
    let held: Vec<_> = found.living.iter().map(|(id, _)| root.join(LAYERS).join(id.as_str())).collect();
    let below = [LAYERS, STAGING, TRASH].map(|dir| root.join(dir));
    let mut recovered = detach_below(&below, |path| held.iter().any(|layer| path.starts_with(layer)))?;
    // Last, so that who is killed before finds them again.
    for file in &found.left {
        hold::forget(file)?;
        recovered.push(Leftover { kind: "hold", path: file.clone() });
    }
    Ok(recovered)
}

/// Detaches all mounts below these directories but those that are to stay.
pub fn detach_below(dirs: &[PathBuf], stays: impl Fn(&Path) -> bool) -> Result<Vec<Leftover>> {
    let mut below: Vec<PathBuf> = mountinfo::all()
        .map_err(Error::io("read", "/proc/self/mountinfo"))?
        .into_iter()
        .map(|mount| mount.mount_point)
        .filter(|path| dirs.iter().any(|dir| path.starts_with(dir)) && !stays(path))
        .collect();
    // Inner mounts first.
    below.sort();
    below.reverse();
    for path in &below {
        mount::detach(path).map_err(Error::io("unmount", path))?;
    }
    Ok(below.into_iter().map(|path| Leftover { kind: "mount", path }).collect())
}

/// Reads all records, parents before children; moves aside what was never whole.
pub fn load<X: DeserializeOwned>(
    root: &Path,
    delete: &dyn Fn(&Path) -> Result<()>,
    recovered: &mut Vec<Leftover>,
) -> Result<Vec<Record<X>>> {
    let layers = root.join(LAYERS);
    let mut found: BTreeMap<LayerId, Record<X>> = BTreeMap::new();
    let mut gone = BTreeSet::new();
    for entry in entries(&layers)? {
        let record =
            Record::read(&entry)?.filter(|record: &Record<X>| Some(record.info.id.as_str()) == name_of(&entry));
        match record {
            Some(record) => _ = found.insert(record.info.id.clone(), record),
            None => {
                delete(&entry)?;
                gone.extend(name_of(&entry).and_then(|name| LayerId::new(name).ok()));
                recovered.push(Leftover { kind: "partial layer", path: entry });
            }
        }
    }
    drop_orphans(&layers, &gone, &mut found, delete, recovered)?;
    for record in found.values() {
        if let Some(parent) = record.info.parent.as_ref().filter(|parent| !found.contains_key(parent)) {
            return Err(Error::Corrupt {
                path: layers.join(record.info.id.as_str()),
                why: format!("its parent {parent} is missing; restore that layer, or remove this directory"),
            });
        }
    }
    let mut records: Vec<_> = found.into_values().collect();
    records.sort_by_key(|record| record.depth);
    Ok(records)
}

/// What stands on a layer that was never whole was not either: both were to be durable with the same sync.
fn drop_orphans<X>(
    layers: &Path,
    gone: &BTreeSet<LayerId>,
    found: &mut BTreeMap<LayerId, Record<X>>,
    delete: &dyn Fn(&Path) -> Result<()>,
    recovered: &mut Vec<Leftover>,
) -> Result<()> {
    let mut gone = gone.clone();
    loop {
        let on_nothing = |record: &&Record<X>| {
            let parent_is_gone = record.info.parent.as_ref().is_some_and(|parent| gone.contains(parent));
            record.info.state == LayerState::Writable && parent_is_gone
        };
        let Some(id) = found.values().find(on_nothing).map(|record| record.info.id.clone()) else { return Ok(()) };
        let path = layers.join(id.as_str());
        delete(&path)?;
        recovered.push(Leftover { kind: "partial layer", path });
        found.remove(&id);
        gone.insert(id);
    }
}

pub fn empty_leftovers(root: &Path, delete: &dyn Fn(&Path) -> Result<()>, recovered: &mut Vec<Leftover>) -> Result<()> {
    for (dir, kind) in [(STAGING, "partial layer"), (TRASH, "removed layer")] {
        for path in entries(&root.join(dir))? {
            // What cannot be deleted, an immutable file for instance, is nobody's layer any more and no hindrance.
            match delete(&path) {
                Ok(()) => recovered.push(Leftover { kind, path }),
                Err(error) => tracing::warn!(%error, "a leftover of a removed layer stays"),
            }
        }
    }
    Ok(())
}

/// A number that nothing in the trash has.
pub fn next_trash(root: &Path) -> Result<u64> {
    let left = entries(&root.join(TRASH))?;
    Ok(left.iter().filter_map(|path| name_of(path)?.parse::<u64>().ok()).max().map_or(0, |last| last.saturating_add(1)))
}

pub fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(Error::io("read", dir))
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
