//! Taking one name out of a hard-link group.

use std::{
    ffi::CString,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::Verdict;

/// Gives the file at `path` below `root` an inode of its own, with the same content and metadata.
///
/// Holes are kept by leaving out blocks of zeros.
///
/// # Errors
/// What the kernel said.
pub fn separate(root: &Path, path: &Path) -> Verdict {
    let path = root.join(path);
    let stat = fs::symlink_metadata(&path)?;
    if stat.nlink() < 2 {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(root);
    let parent_stat = fs::symlink_metadata(parent)?;
    let copy = parent.join(".separate");
    match FileType::from_raw_mode(stat.mode()) {
        FileType::RegularFile => copy_content(&path, &copy)?,
        FileType::Symlink => std::os::unix::fs::symlink(fs::read_link(&path)?, &copy)?,
        kind => rustix::fs::mknodat(CWD, &copy, kind, Mode::RUSR, stat.rdev())?,
    }
    copy_metadata(&path, &copy, &stat)?;
    fs::rename(&copy, &path)?;
    set_mtime(parent, &parent_stat)
}

fn copy_content(from: &Path, to: &Path) -> Verdict {
    use std::{io::Read, os::unix::fs::FileExt};
    const BLOCK: usize = 4096;
    let (mut source, target) = (fs::File::open(from)?, fs::File::create_new(to)?);
    let mut offset = 0;
    let mut block = vec![];
    while source.by_ref().take(BLOCK as u64).read_to_end(&mut block)? > 0 {
        if block.iter().any(|byte| *byte != 0) {
            target.write_all_at(&block, offset)?;
        }
        offset += block.len() as u64;
        block.clear();
    }
    Ok(target.set_len(offset)?)
}

fn copy_metadata(from: &Path, to: &Path, stat: &fs::Metadata) -> Verdict {
    if stat.is_symlink() {
        std::os::unix::fs::lchown(to, Some(stat.uid()), Some(stat.gid()))?;
    } else {
        chown(to, Some(stat.uid()), Some(stat.gid()))?;
        fs::set_permissions(to, fs::Permissions::from_mode(stat.mode() & 0o7777))?;
    }
    let mut names = vec![0; 65536];
    let len = rustix::fs::llistxattr(from, &mut names)?;
    for name in names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = CString::new(name)?;
        let mut value = vec![0; 65536];
        let len = rustix::fs::lgetxattr(from, name.as_c_str(), &mut value)?;
        rustix::fs::lsetxattr(to, name.as_c_str(), &value[..len], XattrFlags::empty())?;
    }
    set_mtime(to, stat)
}

fn set_mtime(path: &Path, stat: &fs::Metadata) -> Verdict {
    let time = Timespec { tv_sec: stat.mtime(), tv_nsec: stat.mtime_nsec() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_everything_but_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "x").unwrap();
        fs::hard_link(&a, &b).unwrap();
        separate(dir.path(), Path::new("a")).unwrap();
        let (a, b) = (fs::metadata(&a).unwrap(), fs::metadata(&b).unwrap());
        assert_ne!(a.ino(), b.ino());
        assert_eq!((a.mode(), a.mtime(), a.mtime_nsec(), a.len()), (b.mode(), b.mtime(), b.mtime_nsec(), b.len()));
    }
}
