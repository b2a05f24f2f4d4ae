//! Subvolumes that were made within a layer, by a container for instance (tmpfiles.d(5), type `v`).

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::fs::{AtFlags, CWD, RenameFlags, Timespec, Timestamps, renameat_with, utimensat};
use storage_driver::{Error, LayerId, Result};
use storage_layer::copy::{self, CopyOptions, CopyStrategy};
use storage_sys::btrfs;

/// Makes directories of the subvolumes in a layer that is about to be sealed: a snapshot would show them empty
/// (btrfs-subvolume(8), "Nested subvolumes").
///
/// Their files are cloned, so nothing is written but metadata. The layer is not mounted meanwhile.
pub fn flatten(tree: &Path, id: &LayerId) -> Result<()> {
    let root = File::open(tree).map_err(Error::io("open", tree))?;
    let nested = btrfs::nested(&root).map_err(Error::io("look for subvolumes in", tree))?;
    if nested.is_empty() {
        return Ok(());
    }
    let kept = times(tree).map_err(Error::io("examine", tree))?;
    // Within the layer, since nothing is renamed across subvolumes; by a name that nobody else takes.
    let uuid = btrfs::info(&root).map_err(Error::io("examine", tree))?.uuid;
    let name = format!(".becomes-directory-{:032x}", u128::from_be_bytes(uuid));
    let copy = tree.join(&name);
    for inner in &nested {
        let within = btrfs::path_within(&root, inner).map_err(Error::io("look for subvolumes in", tree))?;
        if !within.starts_with(&name) {
            replace(tree, &within, &copy, id)?;
        }
    }
    // What is there now is what it was exchanged for, of this time or of one that a crash cut short.
    btrfs::remove_tree(&copy).map_err(Error::io("remove", &copy))?;
    set_times(tree, &kept).map_err(Error::io("set the times of", tree))
}

fn replace(tree: &Path, within: &Path, copy: &Path, id: &LayerId) -> Result<()> {
    btrfs::remove_tree(copy).map_err(Error::io("remove", copy))?;
    fs::create_dir(copy).map_err(Error::io("create", copy))?;
    let old = tree.join(within);
    let options = CopyOptions { strategy: CopyStrategy::Reflink, ..CopyOptions::default() };
    copy::tree(&old, copy, &options).map_err(|error| error.into_driver(id))?;
    let exchange = || -> io::Result<()> {
        let above = old.parent().unwrap_or(tree);
        let kept = times(above)?;
        renameat_with(CWD, copy, CWD, &old, RenameFlags::EXCHANGE)?;
        set_times(above, &kept)
    };
    exchange().map_err(Error::io("replace the subvolume", &old))
}

fn times(path: &Path) -> io::Result<Timestamps> {
    let found = fs::symlink_metadata(path)?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Ok(Timestamps {
        last_access: time(found.atime(), found.atime_nsec()),
        last_modification: time(found.mtime(), found.mtime_nsec()),
    })
}

fn set_times(path: &Path, times: &Timestamps) -> io::Result<()> {
    Ok(utimensat(CWD, path, times, AtFlags::SYMLINK_NOFOLLOW)?)
}
