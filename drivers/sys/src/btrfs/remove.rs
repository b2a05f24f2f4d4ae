//! Deleting subvolumes, and trees that hold some.
#![allow(unsafe_code)]

use std::{
    fs::{self, File},
    io,
    os::fd::AsFd,
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags, fstat, openat},
    io::Errno,
    ioctl::{self, Setter, opcode},
};

use super::{
    MAGIC,
    subvolume::{VolArgsV2, info, is_btrfs, is_subvolume, lookup, nested, open_by_id, path_within, set_read_only},
};

const SNAP_DESTROY_V2: ioctl::Opcode = opcode::write::<VolArgsV2>(MAGIC, 63);
const SPEC_BY_ID: u64 = 1 << 4;

/// Deletes a subvolume and all that are nested in it, whoever made them and wherever in it they are, innermost first;
/// their numbers are the answer, for those who wait for their space.
///
/// `file_system` is anything on the same file system, outside of what is deleted.
///
/// # Errors
/// The ioctls'; `ESTALE` when there is no such subvolume.
pub fn destroy(file_system: impl AsFd, id: u64) -> io::Result<Vec<u64>> {
    let mut ids = vec![id];
    let mut looked_at = 0;
    while let Some(&id) = ids.get(looked_at) {
        let subvolume = open_by_id(&file_system, id)?;
        let inner = nested(&subvolume)?;
        if !inner.is_empty() {
            // A name in a read-only subvolume cannot be removed, a nested subvolume's neither.
            set_read_only(&subvolume, false)?;
        }
        ids.extend(inner.iter().map(|nested| nested.id));
        looked_at += 1;
    }
    // Each one comes after that which it is nested in.
    for &id in ids.iter().rev() {
        destroy_one(&file_system, id)?;
    }
    Ok(ids)
}

fn destroy_one(file_system: impl AsFd, id: u64) -> io::Result<()> {
    let mut args = VolArgsV2 { fd: 0, transid: 0, flags: SPEC_BY_ID, unused: [0; 4], name: [0; 4040] };
    args.name[..8].copy_from_slice(&id.to_ne_bytes());
    // SAFETY: the opcode reads one `struct btrfs_ioctl_vol_args_v2`, which `VolArgsV2` mirrors (its size is asserted).
    Ok(unsafe { ioctl::ioctl(file_system, Setter::<SNAP_DESTROY_V2, VolArgsV2>::new(args)) }?)
}

/// Deletes a directory and all below it, subvolumes too, read-only ones too; nothing there is fine.
///
/// On other file systems, and without the right to delete subvolumes, it is [`fs::remove_dir_all`].
///
/// # Errors
/// What the file system said.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let nothing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match destroy_below(path) {
        // Deleting needs root; an empty, writable subvolume can be removed like a directory (Linux 4.18).
        Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {}
        Err(error) if nothing(&error) => return Ok(()),
        destroyed => destroyed?,
    }
    match fs::remove_dir_all(path) {
        Err(error) if nothing(&error) => Ok(()),
        removed => removed,
    }
}

/// Deletes the outermost subvolumes at and below a directory. They are not searched for in the tree: the subvolume that
/// the directory is in knows them.
fn destroy_below(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(CWD, path, flags, Mode::empty()) {
        // No directory; least of all what a symlink leads to.
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        directory => directory?,
    };
    if !is_btrfs(&directory)? {
        return Ok(());
    }
    if is_subvolume(&directory)? {
        // From outside: what is deleted must not be what the ioctl goes through.
        let outside = File::open(path.parent().unwrap_or(path))?;
        return destroy(outside, info(directory)?.id).map(drop);
    }
    let (_, above) = lookup(&directory, fstat(&directory)?.st_ino)?;
    for inner in nested(&directory)? {
        if path_within(&directory, &inner)?.starts_with(&above) {
            destroy(&directory, inner.id)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ioctl_number_is_the_kernels() {
        assert_eq!(SNAP_DESTROY_V2, 0x5000_943f);
    }

    #[test]
    fn elsewhere_it_is_plain_removal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::create_dir_all(path.join("b/c")).unwrap();
        fs::write(path.join("b/f"), "x").unwrap();
        remove_tree(&path).unwrap();
        assert!(!path.exists());
        remove_tree(&path).unwrap();
    }
}
