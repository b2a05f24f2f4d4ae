//! What is done to every entry of a tree, and whether it happened.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::{Error, Result, ids, walk::Entry};

/// A change of every entry's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Chown,
    Chmod,
    Touch,
}

/// Each in a layer of its own.
pub(super) const CHANGES: [Change; 3] = [Change::Chown, Change::Chmod, Change::Touch];

/// A second that no entry has.
const TOUCHED: i64 = 1_000_000_000;
const TOGGLED: u32 = 0o010;

impl Change {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Chown => "chown",
            Self::Chmod => "chmod",
            Self::Touch => "touch",
        }
    }

    /// Symbolic links have no mode of their own (see symlink(7)).
    pub(super) fn applies(self, entry: &Entry) -> bool {
        self != Self::Chmod || !entry.kind.is_symlink()
    }

    /// Changes one entry as chown -R, chmod -R and touch -h do.
    pub(super) fn apply(self, path: &Path) -> Result<()> {
        let done = match self {
            Self::Chown => lchown(path, Some(ids::OTHER), Some(ids::OTHER)),
            Self::Chmod => fs::symlink_metadata(path)
                .and_then(|found| fs::set_permissions(path, Permissions::from_mode((found.mode() & 0o7777) ^ TOGGLED))),
            Self::Touch => {
                let time = Timespec { tv_sec: TOUCHED, tv_nsec: 0 };
                let times = Timestamps { last_access: time, last_modification: time };
                utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(Into::into)
            }
        };
        done.map_err(Error::io(self.name(), path))
    }

    /// Whether the entry has changed, which had `mode` before.
    pub(super) fn check(self, path: &Path, mode: u32) -> Result<()> {
        let found = fs::symlink_metadata(path).map_err(Error::io("examine", path))?;
        let (expected, found) = match self {
            Self::Chown => (i64::from(ids::OTHER), i64::from(found.uid())),
            Self::Chmod => (i64::from((mode ^ TOGGLED) & 0o7777), i64::from(found.mode() & 0o7777)),
            Self::Touch => (TOUCHED, found.mtime()),
        };
        if expected == found {
            return Ok(());
        }
        Err(Error::effect(format!("{} of {}", self.name(), path.display()), expected, found))
    }
}

/// Many files that come, are renamed, and go, in one new directory.
#[derive(Debug)]
pub(super) struct Storm {
    dir: PathBuf,
    files: u64,
}

impl Storm {
    pub(super) fn new(root: &Path, files: u64) -> Result<Self> {
        let dir = root.join("storm");
        fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
        Ok(Self { dir, files })
    }

    fn old(&self, number: u64) -> PathBuf {
        self.dir.join(format!("old-{number:06}"))
    }

    fn new_name(&self, number: u64) -> PathBuf {
        self.dir.join(format!("new-{number:06}"))
    }

    pub(super) fn create(&self) -> Result<()> {
        self.each(|number| fs::write(self.old(number), "").map_err(Error::io("create", self.old(number))))
    }

    pub(super) fn rename(&self) -> Result<()> {
        self.each(|number| {
            fs::rename(self.old(number), self.new_name(number)).map_err(Error::io("rename", self.old(number)))
        })
    }

    pub(super) fn unlink(&self) -> Result<()> {
        self.each(|number| fs::remove_file(self.new_name(number)).map_err(Error::io("remove", self.new_name(number))))
    }

    /// Whether so many of its files have names that start so, and none has another.
    pub(super) fn check(&self, prefix: &str, expected: u64) -> Result<()> {
        let entries = fs::read_dir(&self.dir).map_err(Error::io("list", &self.dir))?;
        let names: std::io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
        let names = names.map_err(Error::io("list", &self.dir))?;
        let right = names.iter().filter(|name| name.to_string_lossy().starts_with(prefix)).count() as u64;
        if right == expected && names.len() as u64 == expected {
            return Ok(());
        }
        let found = format!("{right} among {}", names.len());
        Err(Error::effect(format!("files {prefix}* in {}", self.dir.display()), expected, found))
    }

    fn each(&self, one: impl Fn(u64) -> Result<()>) -> Result<()> {
        (0..self.files).try_for_each(one)
    }
}
