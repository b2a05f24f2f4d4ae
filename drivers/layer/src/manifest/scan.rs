use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Read,
    os::fd::AsFd,
    path::Path,
};

use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use sha2::{Digest as _, Sha256};

use super::{Entry, Kind, Manifest, Region};
use crate::{
    Digest, Error, Result,
    node::{Inode, Node, NodeKind},
    parallel,
    source::{Source, join, names_in, node_at},
};

pub(super) fn scan(root: &Path) -> Result<Manifest> {
    let source = Source::open(root)?;
    let found = walk(&source)?;
    let mut groups: HashMap<Inode, Vec<&[u8]>> = HashMap::new();
    for (path, node) in found.iter().filter(|(_, node)| !node.is_dir()) {
        groups.entry(node.inode).or_default().push(path);
    }
    let described = parallel::map(&found, |(path, node)| describe(&source, path, node));
    let mut entries = BTreeMap::new();
    for ((path, node), entry) in found.iter().zip(described) {
        let mut entry = entry?;
        // `found` is sorted, so the first one of a group is its name.
        entry.link_group = groups.get(&node.inode).filter(|group| group.len() > 1).map(|group| group[0].to_vec());
        entries.insert(path.clone(), entry);
    }
    Ok(Manifest { entries })
}

/// Every path below the root and the root itself, sorted.
fn walk(source: &Source) -> Result<Vec<(Vec<u8>, Node)>> {
    let mut found = Vec::new();
    let mut pending = vec![Vec::new()];
    if let Some(root) = source.node(b"")? {
        found.push((Vec::new(), root));
    }
    while let Some(dir) = pending.pop() {
        let fd = source.directory(&dir)?;
        for name in names_in(fd.as_fd()).map_err(Error::io("list", source.full(&dir)))? {
            let path = join(&dir, &name);
            let node = node_at(fd.as_fd(), &name).map_err(Error::io("examine", source.full(&path)))?;
            let Some(node) = node else { continue };
            if node.is_dir() {
                pending.push(path.clone());
            }
            found.push((path, node));
        }
    }
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn describe(source: &Source, path: &[u8], node: &Node) -> Result<Entry> {
    let kind = match node.kind {
        NodeKind::File => file(source, path)?,
        NodeKind::Directory => Kind::Directory,
        NodeKind::Symlink => Kind::Symlink { target: source.link_target(path)? },
        NodeKind::Fifo => Kind::Fifo,
        NodeKind::Socket => Kind::Socket,
        NodeKind::CharDevice => Kind::CharDevice { device: node.device },
        NodeKind::BlockDevice => Kind::BlockDevice { device: node.device },
    };
    Ok(Entry {
        kind,
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        mtime: node.mtime,
        xattrs: source.xattrs(path)?.into_iter().collect(),
        link_group: None,
    })
}

fn file(source: &Source, path: &[u8]) -> Result<Kind> {
    let fail = || Error::io("read", source.full(path));
    let mut file = source.file(path).map_err(fail())?;
    let (digest, size) = hash(&mut file).map_err(Error::io("read", source.full(path)))?;
    let data = data_regions(&file, size).map_err(fail())?;
    Ok(Kind::File { size, digest, data })
}

fn hash(file: &mut File) -> std::io::Result<(Digest, u64)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((Digest::from_bytes(hash.finalize().into()), size)),
            Ok(read) => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn data_regions(file: &File, size: u64) -> Result<Vec<Region>, Errno> {
    let mut regions = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        regions.push(Region { offset: start, length: end - start });
        at = end;
    }
    Ok(regions)
}
