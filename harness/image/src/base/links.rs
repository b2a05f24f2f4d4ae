//! Copying paths of this machine together with the symlinks that lead to them.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Component, Path, PathBuf},
};

use super::tree::{LayerTree, Source};

/// As many as the kernel follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// Adds a file of this machine to a tree under the same path, with the symlinks and directories on the way: the
/// tree then leads from that path to the same content as the machine does. Returns where the file really is.
pub fn add(tree: &mut LayerTree, path: &Path) -> io::Result<PathBuf> {
    let mut found: Vec<Step> = Vec::new();
    let real = walk(path, &mut found)?;
    let metadata = fs::metadata(&real)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    File::open(&real)?;
    for step in found {
        match step {
            Step::Directory(path) if !tree.contains(&path) => tree.directory(&path, 0o755),
            Step::Directory(_) => {}
            Step::Link(path, target) => tree.symlink(&path, &target),
        }
    }
    // Nobody but the owner of the image may write, and nothing gains privileges.
    let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    tree.file(&relative(&real), mode, metadata.len(), Source::Host(real.clone()));
    Ok(real)
}

enum Step {
    Directory(Vec<u8>),
    Link(Vec<u8>, Vec<u8>),
}

/// Resolves `path` component by component and notes what it passes.
fn walk(path: &Path, found: &mut Vec<Step>) -> io::Result<PathBuf> {
    let mut rest: VecDeque<OsString> = components(path);
    let mut current = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            current.pop();
            continue;
        }
        let next = current.join(&name);
        let metadata = fs::symlink_metadata(&next)?;
        if metadata.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return Err(rustix::io::Errno::LOOP.into());
            }
            let target = fs::read_link(&next)?;
            found.push(Step::Link(relative(&next), target.as_os_str().as_bytes().to_vec()));
            if target.is_absolute() {
                current = PathBuf::from("/");
            }
            for name in components(&target).into_iter().rev() {
                rest.push_front(name);
            }
        } else {
            if metadata.is_dir() {
                found.push(Step::Directory(relative(&next)));
            }
            current = next;
        }
    }
    Ok(current)
}

fn components(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn relative(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes).to_vec()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::base::tree::Node;

    #[test]
    fn every_link_on_the_way_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/mawk"), "awk").unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        fs::create_dir(root.join("alternatives")).unwrap();
        symlink(root.join("usr/bin/mawk"), root.join("alternatives/awk")).unwrap();
        symlink("../../alternatives/awk", root.join("usr/bin/awk")).unwrap();
        symlink("loop", root.join("loop")).unwrap();

        let mut tree = LayerTree::default();
        assert_eq!(add(&mut tree, &root.join("bin/awk")).unwrap(), root.join("usr/bin/mawk"));
        let node = |path: &str| &tree.get(&relative(&root.join(path))).unwrap().node;
        assert!(matches!(node("bin"), Node::Symlink(target) if target == b"usr/bin"));
        assert!(matches!(node("usr/bin/awk"), Node::Symlink(_)));
        assert!(matches!(node("alternatives/awk"), Node::Symlink(_)));
        assert!(matches!(node("usr/bin/mawk"), Node::File { size: 3, .. }));
        assert!(matches!(node("usr/bin"), Node::Directory));

        let error = add(&mut LayerTree::default(), &root.join("loop")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()));
        assert!(add(&mut LayerTree::default(), &root.join("usr")).is_err());
        assert!(add(&mut LayerTree::default(), &root.join("nothing")).is_err());
    }
}
