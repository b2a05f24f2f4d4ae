//! Whether this process can give files away.

use std::{fs, io, os::unix::fs::lchown, path::Path};

use crate::{Error, Result};

/// For what is left out where it cannot.
pub(crate) const WHY_NOT: &str =
    "files cannot be given to another id here; run as root, or give this user a range of ids in /etc/subuid";

/// Any id but the one that files are made with.
pub(crate) const OTHER: u32 = 1;

/// Tries it on a file of its own in `dir`.
pub(crate) fn can_give_away(dir: &Path) -> Result<bool> {
    let path = dir.join("given-away");
    fs::write(&path, "").map_err(Error::io("write", &path))?;
    let given = lchown(&path, Some(OTHER), Some(OTHER));
    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    match given {
        Ok(()) => Ok(true),
        // chown(2): without the privilege; or the id is not mapped in this user namespace.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {
            Ok(false)
        }
        Err(error) => Err(Error::io("give away", path)(error)),
    }
}
