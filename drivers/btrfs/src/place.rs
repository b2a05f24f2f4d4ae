//! The driver's root directory, before anything is in it.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use storage_driver::{Error, Result};
use storage_sys::{btrfs, statfs};

use crate::NAME;

/// Makes `root` a subvolume, unless it is a directory that holds something; fails where the driver cannot work.
pub fn prepare(root: &Path) -> Result<()> {
    check(root)?;
    let found = match fs::symlink_metadata(root) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = parent(root);
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(&parent).map_err(Error::io("create", &parent))?;
            return make(root, 0o700);
        }
        Err(error) => return Err(Error::io("examine", root)(error)),
    };
    // One that is not empty, or that something is mounted on, stays what it is.
    if !found.is_dir() || found.ino() == btrfs::ROOT_INODE || fs::remove_dir(root).is_err() {
        return Ok(());
    }
    make(root, found.mode() & 0o7777)?;
    chown(root, Some(found.uid()), Some(found.gid())).map_err(Error::io("chown", root))
}

fn make(root: &Path, mode: u32) -> Result<()> {
    let name = root.file_name().unwrap_or(OsStr::new("."));
    let parent = parent(root);
    let made = File::open(&parent).and_then(|parent| btrfs::create(parent, name));
    match made {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(Error::io("make a subvolume at", root))?,
    }
    fs::set_permissions(root, fs::Permissions::from_mode(mode)).map_err(Error::io("chmod", root))
}

fn parent(root: &Path) -> PathBuf {
    match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn check(root: &Path) -> Result<()> {
    let unusable = |why| Error::Unusable { driver: NAME, root: root.to_owned(), why };
    let mut place = root.to_owned();
    while !place.exists() && place != parent(&place) {
        place = parent(&place);
    }
    let found = statfs::of(&place).map_err(Error::io("examine", &place))?.fs_type;
    if found != "btrfs" {
        return Err(unusable(format!(
            "it is on {found}, and layers are btrfs subvolumes; use a btrfs of its own (--testbed loop:btrfs), or make \
             one (mkfs.btrfs DEVICE, mount it) and choose a --root on it"
        )));
    }
    let dir = File::open(&place).map_err(Error::io("open", &place))?;
    btrfs::quota::mode(&dir).map(drop).map_err(|error| {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Error::io("search the file system of", &place)(error);
        }
        unusable("deleting subvolumes and searching their trees needs CAP_SYS_ADMIN; run it as root".to_owned())
    })
}
