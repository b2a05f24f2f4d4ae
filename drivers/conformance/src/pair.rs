//! One list of operations on two trees: the layer under examination and the oracle.

use std::{
    collections::BTreeSet,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use storage_driver::Deviation;
use storage_layer::{Kind, Manifest};

use crate::{Op, Stop, Verdict, holes, link, op::execute};

/// Names of a layer that still stand for what they stood for in its parent.
///
/// overlayfs treats these differently: directories cannot be renamed, and hard-linked files lose their link with
/// the first change. Known differences are predicted from this, and then checked both ways.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    directories: BTreeSet<PathBuf>,
    others: BTreeSet<PathBuf>,
}

impl Origins {
    /// Everything that a parent layer holds.
    #[must_use]
    pub fn of(parent: &Manifest) -> Self {
        let mut origins = Self::default();
        for (path, entry) in &parent.entries {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            match entry.kind {
                Kind::Directory => origins.directories.insert(path),
                _ => origins.others.insert(path),
            };
        }
        origins
    }

    /// Whether this name still stands for a directory of the parent.
    #[must_use]
    pub fn is_directory(&self, path: &Path) -> bool {
        self.directories.contains(path)
    }

    /// Whether this name still stands for something else of the parent.
    #[must_use]
    pub fn is_other(&self, path: &Path) -> bool {
        self.others.contains(path)
    }

    /// What is left of it after an operation that succeeded.
    pub(crate) fn after(&mut self, op: &Op) {
        if let Some(path) = op.writes_to() {
            self.others.remove(path);
        }
        for path in op.replaces() {
            self.forget(path);
        }
    }

    fn forget(&mut self, path: &Path) {
        self.directories.retain(|known| !known.starts_with(path));
        self.others.retain(|known| !known.starts_with(path));
    }
}

/// Gives both trees the same times, since the clock moves on between one tree's turn and the other's.
#[derive(Debug, Clone)]
pub struct Clock {
    ticks: u32,
}

impl Clock {
    /// A clock that starts at a fixed time, so that a case makes the same layers in every run.
    #[must_use]
    pub const fn new() -> Self {
        Self { ticks: 0 }
    }

    /// An operation that sets `path`'s time to one that was not given before.
    pub fn stamp(&mut self, path: &Path) -> Op {
        self.ticks += 1;
        // Seconds move every seventh time only, so that most neighbours differ in nanoseconds alone.
        Op::utimes(path, 1_500_000_000 + i64::from(self.ticks / 7), (self.ticks % 7 + 1) * 100_000_001)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// The layer and the oracle.
#[derive(Debug)]
pub struct Pair<'a> {
    /// The merged tree of the layer.
    pub layer: &'a Path,
    /// A plain directory, or a layer of the model, with the same content.
    pub oracle: &'a Path,
    /// What the driver says it does differently.
    pub deviations: &'a BTreeSet<Deviation>,
}

impl Pair<'_> {
    /// Does `op` to both and compares the answers. An operation that both refuse in the same way is fine.
    ///
    /// Returns the oracle's answer.
    ///
    /// # Errors
    /// [`Stop::Failed`] when the answers differ in a way that the driver did not declare.
    pub fn apply(&self, op: &Op, origins: &mut Origins, clock: &mut Clock) -> Verdict<io::Result<()>> {
        let answer = execute(self.layer, op);
        if self.refused_as_declared(op, &answer, origins)? {
            return Ok(Err(Errno::XDEV.into()));
        }
        if answer.is_ok() {
            self.break_link(op, origins)?;
        }
        let expected = execute(self.oracle, op);
        let same = match (&answer, &expected) {
            (Ok(()), Ok(())) => true,
            (Err(answer), Err(expected)) => answer.raw_os_error() == expected.raw_os_error(),
            _ => false,
        };
        if !same {
            let say = |answer: &io::Result<()>| answer.as_ref().map_or_else(ToString::to_string, |()| "success".into());
            return Err(Stop::failed(format!("{op:?}: expected {}, got {}", say(&expected), say(&answer))));
        }
        if expected.is_ok() {
            self.fill_holes(op)?;
            for path in op.replaces() {
                origins.forget(path);
            }
            self.stamp(op, clock)?;
        }
        Ok(expected)
    }

    fn stamp(&self, op: &Op, clock: &mut Clock) -> Verdict {
        for path in op.touched() {
            let stamp = clock.stamp(path);
            execute(self.layer, &stamp)?;
            execute(self.oracle, &stamp)?;
        }
        Ok(())
    }

    /// Whether this is the rename of a parent's directory, refused by a driver that says it refuses that.
    fn refused_as_declared(&self, op: &Op, answer: &io::Result<()>, origins: &Origins) -> Verdict<bool> {
        let Op::Rename { from, .. } = op else { return Ok(false) };
        if !self.deviations.contains(&Deviation::RenameParentDirectory) || !origins.directories.contains(from) {
            return Ok(false);
        }
        match answer {
            Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => Ok(true),
            Err(_) => Ok(false),
            Ok(()) => Err(Stop::failed(format!(
                "{op:?} succeeded, yet the driver declares the deviation RenameParentDirectory"
            ))),
        }
    }

    /// Does to the oracle what copy-up does to holes, if the driver says that it does: zeros in their place are then
    /// expected, and holes where the oracle has data still are not.
    fn fill_holes(&self, op: &Op) -> Verdict {
        if !self.deviations.contains(&Deviation::CopyUpFillsHoles) {
            return Ok(());
        }
        let renamed = if let Op::Rename { to, .. } = op { Some(to.as_path()) } else { None };
        for path in op.writes_to().into_iter().chain(renamed) {
            holes::fill_like(&self.layer.join(path), &self.oracle.join(path))?;
        }
        Ok(())
    }

    /// Does to the oracle what copy-up does to a hard link, if the driver says that it does.
    fn break_link(&self, op: &Op, origins: &mut Origins) -> Verdict {
        let Some(path) = op.writes_to() else { return Ok(()) };
        // The name now stands for a copy of this layer's own, whatever the driver.
        if origins.others.remove(path) && self.deviations.contains(&Deviation::HardLinkBreaks) {
            link::separate(self.oracle, path)?;
        }
        Ok(())
    }
}
