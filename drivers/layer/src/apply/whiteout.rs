use std::{
    collections::HashSet,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, makedev, mknodat, openat, unlinkat},
    io::Errno,
};

use super::{
    attributes::{Attributes, io},
    target::{Dir, Missing, Target, lower_fault},
};
use crate::{
    Fault,
    node::Node,
    overlay::XattrNamespace,
    source::{join, names_in, node_at, split},
    xattrs::Of,
};

/// Whiteouts act on what was there before the tar, wherever in the tar they stand: the result is as if all of them
/// came first. So whatever the tar itself wrote stays, and is remembered for that ([`Target::has_written`]).
impl Target<'_> {
    /// `.wh.NAME`
    pub fn whiteout(&mut self, parent: &[&[u8]], name: &[u8]) -> Result<(), Fault> {
        // Nothing to hide, or a whiteout beneath another one.
        let Some(dir) = self.enter(parent, Missing::Stop)? else { return Ok(()) };
        self.hide(&dir, name)
    }

    fn hide(&mut self, dir: &Arc<Dir>, name: &[u8]) -> Result<(), Fault> {
        let kept = self.prune(dir, name)?;
        let Some(namespace) = self.namespace() else { return Ok(()) };
        let below = self.below(dir, name)?;
        self.hidden.insert(dir.ino, name);
        match (kept, below) {
            (Some(node), Some(below)) if node.is_dir() && below.node.is_dir() => self.set_opaque(dir, name, namespace),
            (None, Some(_)) => self.make_whiteout(dir, name, namespace),
            _ => Ok(()),
        }
    }

    /// `.wh..wh..opq`
    pub fn opaque(&mut self, directory: &[&[u8]]) -> Result<(), Fault> {
        let Some(dir) = self.enter(directory, Missing::Stop)? else { return Ok(()) };
        let names = names_in(dir.fd.as_fd()).map_err(io("list the directory"))?;
        for name in &names {
            self.prune(&dir, name)?;
        }
        let Some(namespace) = self.namespace() else { return Ok(()) };
        if dir.place.is_nowhere() {
            return Ok(());
        }
        if dir.ino != self.root.ino {
            Of::Fd(dir.fd.as_fd()).set(&namespace.key("opaque"), b"y").map_err(io("make opaque"))?;
            self.close_all();
            return Ok(());
        }
        // overlayfs heeds no mark on the root itself.
        let root = Arc::clone(&self.root);
        for name in self.lower.list(&root.place, b"").map_err(lower_fault)? {
            self.hide(&root, &name)?;
        }
        Ok(())
    }

    fn set_opaque(&mut self, dir: &Dir, name: &[u8], namespace: XattrNamespace) -> Result<(), Fault> {
        let of = Of::Name(dir.fd.as_fd(), name);
        of.set(&namespace.key("opaque"), b"y").map_err(io("make opaque"))?;
        self.close_all();
        Ok(())
    }

    /// A 0:0 character device, which any user may make since Linux 5.8; else the xattr form (kernel:
    /// Documentation/filesystems/overlayfs.rst, "Nesting overlayfs mounts").
    fn make_whiteout(&mut self, dir: &Dir, name: &[u8], namespace: XattrNamespace) -> Result<(), Fault> {
        let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
        match mknodat(&dir.fd, name, kind, mode, makedev(0, 0)) {
            Err(Errno::PERM) => self.make_xattr_whiteout(dir, name, namespace),
            answer => answer.map_err(io("make the whiteout")),
        }
    }

    fn make_xattr_whiteout(&self, dir: &Dir, name: &[u8], namespace: XattrNamespace) -> Result<(), Fault> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: OwnedFd = openat(&dir.fd, name, flags, Mode::RUSR).map_err(io("make the whiteout"))?;
        let set = |of: Of<'_>, mark, value: &[u8]| of.set(&namespace.key(mark), value).map_err(io("mark the whiteout"));
        set(Of::Fd(file.as_fd()), "whiteout", b"y")?;
        for holder in [dir, &*self.root] {
            set(Of::Fd(holder.fd.as_fd()), "opaque", b"x")?;
        }
        Ok(())
    }

    /// Deletes `name` and all beneath it, whoever wrote it.
    pub fn delete(&mut self, dir: &Dir, name: &[u8], node: &Node) -> Result<(), Fault> {
        if !node.is_dir() {
            if node.kind == crate::node::NodeKind::Symlink {
                self.close_all();
            }
            return unlinkat(&dir.fd, name, AtFlags::empty()).map_err(io("replace"));
        }
        self.sweep(dir, name, node, false).map(|_| ())
    }

    /// Deletes what this tar did not write of `name` and of all beneath it; what is left of `name`, if anything.
    fn prune(&mut self, dir: &Dir, name: &[u8]) -> Result<Option<Node>, Fault> {
        let Some(node) = self.node(dir, name)? else { return Ok(None) };
        if node.is_dir() {
            return Ok(self.sweep(dir, name, &node, true)?.then_some(node));
        }
        if self.has_written(dir.ino, name) {
            return Ok(Some(node));
        }
        self.delete(dir, name, &node).map(|()| None)
    }

    /// Deletes a directory; with `keep` what this tar wrote stays, and so do the directories that hold it. True if
    /// anything did.
    ///
    /// A directory that stays only for what it holds loses its attributes: had the whiteout come first, it would
    /// have been made anew.
    fn sweep(&mut self, dir: &Dir, name: &[u8], node: &Node, keep: bool) -> Result<bool, Fault> {
        self.close_all();
        let found = self.list_tree(dir, name, node)?;
        let mut kept: HashSet<u64> = HashSet::new();
        let mut parent: Option<(Vec<u8>, OwnedFd)> = None;
        // Children come after their parents in the list.
        for Found { path, node, parent: holder } in found.into_iter().rev() {
            let (above, base) = split(&path);
            let wrote = keep && self.has_written(holder, base);
            let stays = wrote || kept.contains(&node.inode.ino);
            if stays {
                kept.insert(holder);
            }
            if stays && (wrote || !node.is_dir()) {
                continue;
            }
            if stays {
                self.reset(&path)?;
                continue;
            }
            if parent.as_ref().is_none_or(|(open, _)| open != above) {
                parent = Some((above.to_vec(), self.source.directory(above).map_err(lower_fault)?));
            }
            let Some((_, fd)) = &parent else { continue };
            let flags = if node.is_dir() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            unlinkat(fd, base, flags).map_err(io("delete"))?;
            if node.is_dir() {
                self.forget(node.inode.ino);
            }
        }
        Ok(kept.contains(&dir.ino))
    }

    fn reset(&mut self, path: &[u8]) -> Result<(), Fault> {
        let fd = self.source.directory(path).map_err(lower_fault)?;
        let implied = Attributes::implied();
        self.setter.replace(fd.as_fd(), &implied, path)?;
        let node: Node = rustix::fs::fstat(&fd).map_err(io("examine"))?.into();
        if let Some(end) = self.ends.get_mut(&node.inode.ino) {
            end.mtime = implied.mtime;
        }
        Ok(())
    }

    /// `name` and all beneath it, parents first.
    fn list_tree(&self, dir: &Dir, name: &[u8], node: &Node) -> Result<Vec<Found>, Fault> {
        let mut found = vec![Found { path: join(&dir.path, name), node: *node, parent: dir.ino }];
        let mut next = 0;
        while next < found.len() {
            let at = &found[next];
            next += 1;
            if !at.node.is_dir() {
                continue;
            }
            let (path, ino) = (at.path.clone(), at.node.inode.ino);
            let fd = self.source.directory(&path).map_err(lower_fault)?;
            for name in names_in(fd.as_fd()).map_err(io("list"))? {
                let child = node_at(fd.as_fd(), &name).map_err(io("examine"))?;
                if let Some(node) = child {
                    found.push(Found { path: join(&path, &name), node, parent: ino });
                }
            }
        }
        Ok(found)
    }
}

/// A path to be deleted, perhaps.
struct Found {
    path: Vec<u8>,
    node: Node,
    /// The inode of the directory it is in.
    parent: u64,
}
