//! Paths in the container's root, resolved as in the container whatever symbolic links the image has.

use std::{
    ffi::{CStr, OsStr},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
};

/// How often a lookup is tried that a rename on the host disturbed (EAGAIN, see openat2(2)).
const ATTEMPTS: usize = 32;

/// Opens `path` below `root`; symbolic links are followed as if `root` were `/`.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    resolve(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// Opens `path` below `root`; ELOOP if a component is a symbolic link.
pub(super) fn open_without_links(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    resolve(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

fn resolve(root: BorrowedFd<'_>, path: &Path, flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let mut last = Errno::AGAIN;
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(error @ (Errno::AGAIN | Errno::INTR)) => last = error,
            other => return other,
        }
    }
    Err(last)
}

/// Opens the directory `path`, with `O_PATH`, and makes what is missing of it.
pub(super) fn directory(root: BorrowedFd<'_>, path: &Path, links: bool) -> Result<OwnedFd, Errno> {
    let open = if links { open } else { open_without_links };
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open(root, path, flags) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let mut reached = open(root, Path::new("."), flags)?;
    let mut so_far = PathBuf::new();
    for name in names(path) {
        so_far.push(name);
        reached = match open(root, &so_far, flags) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&reached, name, Mode::from_raw_mode(0o755)) {
                    // A dangling link: it is not ours to guess what its target should be.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                open(root, &so_far, flags)?
            }
            other => other?,
        };
    }
    Ok(reached)
}

/// Opens the file `path` that is no directory, with `O_PATH`, and makes an empty one with its directories if need be.
pub(super) fn file(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::ISDIR);
    };
    let parent = directory(root, parent, true)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    open(root, path, OFlags::PATH)
}

/// The components that name something: neither `/` nor `.`; `..` stays and is resolved by the kernel.
fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        _ => None,
    })
}

/// A path of the plan.
pub(super) fn path(c: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(c.to_bytes()))
}

/// Whether `fd` is a directory.
pub(super) fn is_directory(fd: impl AsFd) -> Result<bool, Errno> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}
