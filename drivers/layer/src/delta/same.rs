use std::{
    fs::File,
    io::{ErrorKind, Read},
};

use rustix::{
    fs::{Advice, fadvise},
    io::Errno,
};

use super::Pair;
use crate::{
    Error, Result,
    node::{Node, NodeKind},
    overlay::stack::Shown,
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

const BUFFER: usize = 128 * 1024;

/// Whether the file at `path` holds the same bytes in the upper and in `lower`.
pub(super) fn content(pair: &Pair, path: &[u8], lower: &Shown) -> Result<bool> {
    pair.lower.check_data(lower, path)?;
    let below = pair.lower.layer(lower.layer);
    let mut upper = match pair.upper.file(path) {
        Ok(file) => file,
        // It was removed or replaced just now, so it is no longer what it was.
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(false),
        Err(error) => return Err(Error::io("open", pair.upper.full(path))(error)),
    };
    let mut lower = below.file(path).map_err(Error::io("open", below.full(path)))?;
    for file in [&upper, &lower] {
        // Advice only; a file system may refuse it.
        let _ = fadvise(file, 0, None, Advice::Sequential);
    }
    let (mut a, mut b) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let read = fill(&mut upper, &mut a).map_err(Error::io("read", pair.upper.full(path)))?;
        let same = fill(&mut lower, &mut b).map_err(Error::io("read", below.full(path)))?;
        if a[..read] != b[..same] {
            return Ok(false);
        }
        if read < BUFFER {
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
