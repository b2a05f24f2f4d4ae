//! SOURCE_DATE_EPOCH: no time of an image is later, so that two builds of the same sources are equal
//! (reproducible-builds.org/specs/source-date-epoch).

use std::{collections::BTreeMap, path::Path};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, lstat, utimensat};
use storage_driver::{Change, ChangeKind, Timestamp};

use crate::{Error, Result};

pub const NAME: &str = "SOURCE_DATE_EPOCH";

const NANOS: u64 = 1_000_000_000;

/// What the build argument or else the environment says; an empty value says nothing.
pub fn read(arguments: &BTreeMap<String, String>) -> Result<Option<Timestamp>> {
    let text = arguments.get(NAME).cloned().or_else(|| std::env::var(NAME).ok()).filter(|text| !text.is_empty());
    let Some(text) = text else { return Ok(None) };
    let seconds = text.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(NANOS));
    seconds.map(|nanos| Some(Timestamp(nanos))).ok_or(Error::Epoch { text })
}

/// Sets back the times of what a layer changed, in its mounted tree. Setting a time changes no other one.
pub fn clamp(root: &Path, changes: &[Change], epoch: Timestamp) -> Result<()> {
    let seconds = i64::try_from(epoch.0 / NANOS).unwrap_or(i64::MAX);
    let latest = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: omit, last_modification: latest };
    let paths =
        changes.iter().filter(|change| change.kind != ChangeKind::Deleted).map(|change| root.join(&change.path));
    // What is made or deleted leaves its time in the directory that it is in.
    let in_root = changes.iter().any(|change| change.path.components().count() == 1);
    for path in paths.chain(in_root.then(|| root.to_owned())) {
        let found = lstat(&path).map_err(Error::io("examine", &path))?;
        if (found.st_mtime, found.st_mtime_nsec) > (seconds, 0) {
            utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::io("set the time of", path))?;
        }
    }
    Ok(())
}
