//! Copies of trees and files that lose nothing.
//!
//! Kept are content, holes, hard links within the tree, mode with setuid, setgid and sticky bits, owner, atime and
//! mtime in nanoseconds, all xattrs that a layer holds (ACLs and file capabilities among them), symlinks, devices,
//! fifos and sockets.
//!
//! How the bytes travel is the caller's choice and never guessed: a file system that shares extents makes a "copy"
//! by copy_file_range(2) for nothing, and a measurement of it would say nothing of copying.
//!
//! All names are looked up beneath the two roots' descriptors and no symlink is followed in either tree, so neither
//! a hostile tree nor one that changes meanwhile leads a copy elsewhere.

mod attributes;
mod content;
mod entry;
mod options;
mod probe;
mod strategy;
mod walk;
mod work;

use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};

pub use self::{
    options::{ChangeMode, CopyOptions, CopyStats, Existing, Filter, Keep},
    probe::probe,
    strategy::{CopyStrategy, UnknownStrategy},
};
use crate::{Error, Result, node::Inode, source::split};

/// Copies what is in the directory `from` into the existing directory `to`, and gives `to` the attributes of `from`.
///
/// With [`Existing::Merge`] `to` and the directories in it keep their own attributes.
///
/// # Errors
/// [`Error::Io`] and [`Error::Strategy`] name the path. What was copied until then stays; the caller removes it.
pub fn tree(from: &Path, to: &Path, options: &CopyOptions<'_>) -> Result<CopyStats> {
    walk::tree(from, to, options)
}

/// Gives the directory `to` the attributes of `from`, and leaves alone what is in either.
///
/// # Errors
/// [`Error::Io`] names the path.
pub fn attributes(from: &Path, to: &Path, options: &CopyOptions<'_>) -> Result<CopyStats> {
    walk::attributes(from, to, options)
}

/// Copies one inode that is no directory to the new name `to`; a symlink is copied as such.
///
/// `to` is replaced with [`Existing::Merge`]. The filter of `options` is not asked.
///
/// # Errors
/// [`Error::Io`] and [`Error::Strategy`] name the path; `EISDIR` for a directory at either end.
pub fn file(from: &Path, to: &Path, options: &CopyOptions<'_>) -> Result<CopyStats> {
    let (from_dir, from_name) = parent(from)?;
    let (to_dir, to_name) = parent(to)?;
    let pair = work::Pair {
        from: open(from_dir)?.into(),
        to: open(to_dir)?,
        path: Vec::new(),
        from_path: from_dir.to_owned(),
        to_path: to_dir.to_owned(),
        inherits: true,
    };
    let stat = statat(&pair.from, from_name, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::io("examine", from))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Directory {
        return Err(Error::io("copy as a file", from)(rustix::io::Errno::ISDIR));
    }
    let crew = work::Crew::new(options, options.existing);
    let mut hand = work::Hand::new(&crew);
    entry::copy(&mut hand, &pair, from_name, kind, to_name)?;
    Ok(hand.finish())
}

fn parent(path: &Path) -> Result<(&Path, &[u8])> {
    use std::os::unix::ffi::OsStrExt;
    let name = path.file_name().ok_or_else(|| Error::io("copy", path)(rustix::io::Errno::INVAL))?;
    let (dir, _) = split(path.as_os_str().as_bytes());
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ if dir.is_empty() => Path::new("."),
        _ => Path::new("/"),
    };
    Ok((dir, name.as_bytes()))
}

fn open(dir: &Path) -> Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, dir, flags, Mode::empty()).map_err(Error::io("open", dir))
}

fn inode_of(fd: impl std::os::fd::AsFd) -> Result<Inode, rustix::io::Errno> {
    fstat(fd).map(|stat| crate::node::Node::from(stat).inode)
}
