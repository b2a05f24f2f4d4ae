use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, mknodat, openat, readlinkat, statat, symlinkat, unlinkat},
    io::Errno,
};
use storage_driver::Bytes;

use super::{
    Existing,
    attributes::Attributes,
    content,
    work::{Hand, Pair},
};
use crate::{Error, Result, node::Node, source::join, xattrs::Of};

/// Copies what is at `name`, which is no directory and was found to be a `kind`, to `new` in the target.
pub(super) fn copy(hand: &mut Hand<'_>, pair: &Pair, name: &[u8], kind: FileType, new: &[u8]) -> Result<()> {
    if kind != FileType::RegularFile {
        return other(hand, pair, name, new);
    }
    let from = open(pair, name).map_err(Error::io("open", pair.source_name(name)))?;
    let stat = fstat(&from).map_err(Error::io("examine", pair.source_name(name)))?;
    if FileType::from_raw_mode(stat.st_mode) != kind {
        return Err(changed(pair, name));
    }
    file(hand, pair, name, new, &File::from(from), &stat)
}

/// `O_NONBLOCK`, since a fifo may have come in the file's place; `O_NOATIME`, since copying changes nothing.
fn open(pair: &Pair, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(&pair.from, name, flags | OFlags::NOATIME, Mode::empty()) {
        // Somebody else's file (open(2), O_NOATIME).
        Err(Errno::PERM) => openat(&pair.from, name, flags, Mode::empty()),
        answer => answer,
    }
}

fn changed(pair: &Pair, name: &[u8]) -> Error {
    Error::io("copy", pair.source_name(name))(io::Error::other("it became something else meanwhile"))
}

fn file(hand: &mut Hand<'_>, pair: &Pair, name: &[u8], new: &[u8], from: &File, stat: &Stat) -> Result<()> {
    let node = Node::from(*stat);
    if node.nlink > 1 && !hand.crew.claim(node.inode, join(&pair.path, new)) {
        return Ok(());
    }
    let xattrs = Of::Fd(from.as_fd()).read().map_err(Error::io("read the xattrs of", pair.source_name(name)))?;
    let attributes = Attributes::new(stat, xattrs, hand.crew.options);
    let to = create(hand, pair, new, &attributes)?;
    let sparse = content::copy(hand.crew.options.strategy, from, &to, node.size, &mut hand.buffer)
        .map_err(|failure| not_copied(hand, pair, name, new, failure))?;
    let present = fstat(&to).map_err(Error::io("examine", pair.target_name(new)))?;
    let path = join(&pair.path, new);
    attributes
        .set_open(to.as_fd(), (&present).into(), pair.inherits, &mut |xattr, errno| hand.may_skip(&path, xattr, errno))
        .map_err(|(op, source)| Error::io(op, pair.target_name(new))(source))?;
    let made = Node::from(present);
    hand.stats.files += 1;
    hand.stats.sparse += u64::from(sparse);
    hand.stats.bytes += Bytes(made.size);
    hand.stats.allocated += Bytes::from_stat_blocks(made.blocks);
    Ok(())
}

/// Until it has its owner, only its maker may open the file.
fn create(hand: &Hand<'_>, pair: &Pair, new: &[u8], attributes: &Attributes) -> Result<File> {
    let own = (attributes.uid, attributes.gid) == hand.crew.creator;
    let mode = Mode::from_raw_mode(if own { attributes.mode & 0o777 } else { 0o600 });
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    made(hand, pair, new, || openat(&pair.to, new, flags, mode)).map(File::from)
}

fn made<T>(hand: &Hand<'_>, pair: &Pair, new: &[u8], make: impl FnMut() -> Result<T, Errno>) -> Result<T> {
    replacing(hand.crew.existing, pair.to.as_fd(), new, || pair.target_name(new), make)
}

/// Makes a name; with [`Existing::Merge`] what has it gives way.
pub(super) fn replacing<T>(
    existing: Existing,
    dir: BorrowedFd<'_>,
    new: &[u8],
    path: impl Fn() -> PathBuf,
    mut make: impl FnMut() -> Result<T, Errno>,
) -> Result<T> {
    match make() {
        Err(Errno::EXIST) if existing != Existing::Refuse => {
            unlinkat(dir, new, AtFlags::empty()).map_err(Error::io("replace", path()))?;
            make()
        }
        answer => answer,
    }
    .map_err(|errno| Error::io("create", path())(errno))
}

fn not_copied(hand: &Hand<'_>, pair: &Pair, name: &[u8], new: &[u8], failure: content::Failure) -> Error {
    match failure {
        content::Failure::Read(source) => Error::io("read", pair.source_name(name))(source),
        content::Failure::Write(source) => Error::io("write", pair.target_name(new))(source),
        content::Failure::Both(errno) => Error::io("copy to", pair.target_name(new))(errno),
        content::Failure::Strategy(errno) => {
            let (strategy, path) = (hand.crew.options.strategy, pair.source_name(name));
            Error::Strategy { strategy, path, source: errno.into() }
        }
    }
}

fn other(hand: &mut Hand<'_>, pair: &Pair, name: &[u8], new: &[u8]) -> Result<()> {
    let stat =
        statat(&pair.from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::io("examine", pair.source_name(name)))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if matches!(kind, FileType::RegularFile | FileType::Directory | FileType::Unknown) {
        return Err(changed(pair, name));
    }
    let node = Node::from(stat);
    if node.nlink > 1 && !hand.crew.claim(node.inode, join(&pair.path, new)) {
        return Ok(());
    }
    let of = Of::Name(pair.from.as_fd(), name);
    let xattrs = of.read().map_err(Error::io("read the xattrs of", pair.source_name(name)))?;
    let is_symlink = kind == FileType::Symlink;
    if is_symlink {
        let target = readlinkat(&pair.from, name, Vec::new());
        let target = target.map_err(Error::io("read the symlink", pair.source_name(name)))?;
        made(hand, pair, new, || symlinkat(&target, &pair.to, new))?;
    } else {
        let make = || mknodat(&pair.to, new, kind, Mode::RUSR | Mode::WUSR, stat.st_rdev);
        made(hand, pair, new, make)?;
    }
    let path = join(&pair.path, new);
    Attributes::new(&stat, xattrs, hand.crew.options)
        .set_named(pair.to.as_fd(), new, is_symlink, pair.inherits, &mut |x, errno| hand.may_skip(&path, x, errno))
        .map_err(|(op, source)| Error::io(op, pair.target_name(new))(source))?;
    hand.stats.others += 1;
    Ok(())
}
