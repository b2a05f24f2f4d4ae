use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::fd::AsFd,
};

use rustix::io::Errno;

use super::Pair;
use crate::{
    Error, Result,
    node::{Node, NodeKind},
    overlay::stack::Shown,
    source::Source,
    xattrs::Of,
};

/// Whether all that lstat(2) tells of the two is equal, as far as it belongs to a layer.
pub(super) fn attributes(a: &Node, b: &Node) -> bool {
    let device = |node: &Node| match node.kind {
        NodeKind::CharDevice | NodeKind::BlockDevice => Some(node.device),
        _ => None,
    };
    // A directory's size says how its file system stores it, a symlink's is its target's.
    let size = |node: &Node| (node.kind == NodeKind::File).then_some(node.size);
    (a.kind, a.mode, a.uid, a.gid, a.mtime) == (b.kind, b.mode, b.uid, b.gid, b.mtime)
        && device(a) == device(b)
        && size(a) == size(b)
}

/// The most that is read at once of either file.
const BUFFER: u64 = 128 * 1024;

/// Whether the file at `path`, whose attributes are equal in the upper and in `lower`, has the same xattrs and the
/// same bytes too.
pub(super) fn file(pair: &Pair, path: &[u8], lower: &Shown) -> Result<bool> {
    let below = pair.lower.layer(lower.layer);
    let mut upper_file = match pair.upper.file(path) {
        Ok(file) => file,
        // It was removed or replaced just now, so it is no longer what it was.
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => return Ok(false),
        Err(error) => return Err(Error::io("open", pair.upper.full(path))(error)),
    };
    let mut lower_file = below.file(path).map_err(Error::io("open", below.full(path)))?;
    let names = Of::Fd(lower_file.as_fd()).names().map_err(xattr_error(below, path))?;
    pair.lower.check_file(path, &names)?;
    let expected = Of::Fd(lower_file.as_fd()).values(&names).map_err(xattr_error(below, path))?;
    if Of::Fd(upper_file.as_fd()).read().map_err(xattr_error(&pair.upper, path))? != expected {
        return Ok(false);
    }
    content(pair, path, below, &mut upper_file, &mut lower_file, lower.node.size)
}

fn xattr_error(source: &Source, path: &[u8]) -> impl FnOnce(std::io::Error) -> Error {
    Error::io("read the xattrs of", source.full(path))
}

fn content(pair: &Pair, path: &[u8], below: &Source, upper: &mut File, lower: &mut File, size: u64) -> Result<bool> {
    // One byte more than the file, so that the first read finds its end as well.
    let buffer = usize::try_from(size.saturating_add(1).min(BUFFER)).unwrap_or(1);
    let (mut a, mut b) = (vec![0; buffer], vec![0; buffer]);
    loop {
        let read = fill(upper, &mut a).map_err(Error::io("read", pair.upper.full(path)))?;
        let same = fill(lower, &mut b).map_err(Error::io("read", below.full(path)))?;
        if a[..read] != b[..same] {
            return Ok(false);
        }
        if read < buffer {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
