//! What an empty root takes, once it has been used: to this a root must come back.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use storage_driver::{Bytes, Sharing, StorageDriver};

use crate::{
    Error, Result, Subject,
    content::write_base,
    operation::{id, remove_if_there},
    operations::{create, layer},
};

/// Paths and allocated bytes of an empty root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    paths: BTreeSet<PathBuf>,
    bytes: Bytes,
    slack: Bytes,
    /// Whether the driver limits the size of layers there.
    pub limits: bool,
}

impl Footprint {
    /// Looks at a root that nobody has open.
    pub fn of(root: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        let mut pending = vec![root.to_owned()];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                let metadata = path.symlink_metadata()?;
                // A directory's own blocks are not given back by every file system when its entries go.
                if metadata.is_dir() {
                    pending.push(path.clone());
                } else {
                    found.bytes += Bytes::from_stat_blocks(metadata.blocks());
                }
                found.paths.insert(path.strip_prefix(root).unwrap_or(&path).to_owned());
            }
        }
        Ok(found)
    }

    /// The same paths, however much they take: on another file system that is another number.
    pub fn of_any_size(&self) -> Self {
        Self { paths: self.paths.clone(), bytes: Bytes(u64::MAX), ..Self::default() }
    }

    /// What `root` holds beyond this, in words.
    pub fn beyond(&self, root: &Path) -> io::Result<Vec<String>> {
        let mut found = Self::of(root)?;
        if found.bytes > self.bytes {
            settle(root)?;
            found = Self::of(root)?;
        }
        let mut problems: Vec<String> =
            found.paths.difference(&self.paths).map(|path| format!("{} is left over", path.display())).collect();
        if found.bytes - self.bytes > self.slack && problems.is_empty() {
            problems.push(format!("{} stay allocated after everything was removed", found.bytes - self.bytes));
        }
        Ok(problems)
    }
}

/// Uses a root once, empties it, and looks at it.
pub fn measure(subject: &dyn Subject, room: &Path) -> Result<Footprint> {
    let root = room.join("baseline");
    fs::create_dir(&root).map_err(Error::io("create", &root))?;
    let driver = || subject.name().to_owned();
    let failed = |error| match error {
        error @ storage_driver::Error::Unusable { .. } => Error::Unusable { driver: driver(), why: error.to_string() },
        error => Error::Driver { driver: driver(), what: "an empty root was looked at", why: error.to_string() },
    };
    let live = |driver: &Arc<dyn StorageDriver>| -> storage_driver::Result<(Bytes, bool)> {
        layer(&**driver, "first", None, write_base)?;
        driver.seal(&id("first")?)?;
        create(&**driver, "second", Some("first"))?;
        remove_if_there(&**driver, "second")?;
        remove_if_there(&**driver, "first")?;
        driver.shutdown()?;
        let capabilities = driver.capabilities();
        Ok((slack(capabilities.sharing), capabilities.size_limit.is_yes()))
    };
    // The second opening makes what is made when a root is opened again.
    let (mut slack, mut limits) = (Bytes(0), false);
    for _ in 0..2 {
        (slack, limits) = subject.open(&root).and_then(|driver| live(&driver)).map_err(failed)?;
    }
    let found = settle(&root).and_then(|()| Footprint::of(&root)).map_err(Error::io("read", &root))?;
    Ok(Footprint { slack, limits, ..found })
}

/// Writes what is delayed. While btrfs writes a file back, stat(2) can find the same bytes both reserved and allocated.
fn settle(root: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(root)?)?)
}

/// A pool discards whole blocks only, so its file keeps those at the ends of what was freed, one more or less with the
/// order in which they were taken. What the pool itself counts as used comes back exactly.
fn slack(sharing: Sharing) -> Bytes {
    const LARGEST_OF_A_FILE_SYSTEM: u64 = 64 << 10;
    const ENDS: u64 = 4;
    match sharing {
        Sharing::Block(size) if size >= LARGEST_OF_A_FILE_SYSTEM => Bytes(ENDS * size),
        _ => Bytes(0),
    }
}
