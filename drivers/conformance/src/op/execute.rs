use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, CWD, FallocateFlags, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Timespec, Timestamps, Uid,
        XattrFlags,
    },
    io::Errno,
};

use super::{AclKind, Device, Op};

/// Does `op` to the tree at `root`.
///
/// # Errors
/// What the kernel said. Nothing outside `root` is touched, whatever symlinks the tree holds.
pub fn execute(root: &Path, op: &Op) -> io::Result<()> {
    let at = |path: &Path| Place::resolve(root, path);
    match op {
        Op::CreateFile { path, data, mode } => {
            let place = at(path)?;
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&place.directory, &place.name, flags, Mode::RUSR | Mode::WUSR)?;
            write_all(&file, &data.to_bytes(), None)?;
            Ok(rustix::fs::fchmod(&file, permissions(*mode))?)
        }
        Op::Append { path, data } => {
            let file = at(path)?.open(OFlags::WRONLY | OFlags::APPEND)?;
            write_all(&file, &data.to_bytes(), None)
        }
        Op::Overwrite { path, offset, data } => {
            write_all(&at(path)?.open(OFlags::WRONLY)?, &data.to_bytes(), Some(*offset))
        }
        Op::Truncate { path, size } => Ok(rustix::fs::ftruncate(at(path)?.open(OFlags::WRONLY)?, *size)?),
        Op::PunchHole { path, offset, length } => {
            let file = at(path)?.open(OFlags::WRONLY)?;
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            Ok(rustix::fs::fallocate(file, flags, *offset, *length)?)
        }
        Op::Mkdir { path, mode } => {
            let place = at(path)?;
            rustix::fs::mkdirat(&place.directory, &place.name, Mode::RWXU)?;
            place.chmod(*mode)
        }
        Op::Remove { path } => at(path)?.remove(),
        Op::RemoveAll { path } => at(path)?.remove_all(),
        Op::Rename { from, to } => {
            let (from, to) = (at(from)?, at(to)?);
            Ok(rustix::fs::renameat(&from.directory, &from.name, &to.directory, &to.name)?)
        }
        Op::Link { existing, new } => {
            let (old, new) = (at(existing)?, at(new)?);
            Ok(rustix::fs::linkat(&old.directory, &old.name, &new.directory, &new.name, AtFlags::empty())?)
        }
        Op::Symlink { target, path } => {
            let place = at(path)?;
            Ok(rustix::fs::symlinkat(target, &place.directory, &place.name)?)
        }
        Op::Mknod { path, device, major, minor, mode } => {
            let kind = match device {
                Device::Character => FileType::CharacterDevice,
                Device::Block => FileType::BlockDevice,
            };
            at(path)?.mknod(kind, rustix::fs::makedev(*major, *minor), *mode)
        }
        Op::Fifo { path, mode } => at(path)?.mknod(FileType::Fifo, 0, *mode),
        Op::Socket { path, mode } => at(path)?.mknod(FileType::Socket, 0, *mode),
        Op::Chown { path, uid, gid } => {
            let place = at(path)?;
            let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
            Ok(rustix::fs::chownat(&place.directory, &place.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
        }
        Op::Chmod { path, mode } => at(path)?.chmod(*mode),
        Op::Utimes { path, mtime } => {
            let place = at(path)?;
            let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() };
            let times = Timestamps { last_access: time, last_modification: time };
            Ok(rustix::fs::utimensat(&place.directory, &place.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
        }
        Op::SetXattr { path, name, value } => {
            let place = at(path)?;
            Ok(rustix::fs::lsetxattr(place.through_proc(), name.as_str(), value, XattrFlags::empty())?)
        }
        Op::RemoveXattr { path, name } => {
            let place = at(path)?;
            Ok(rustix::fs::lremovexattr(place.through_proc(), name.as_str())?)
        }
        Op::SetAcl { path, kind, uid, permissions } => {
            let place = at(path)?;
            place.refuse_symlink()?;
            let name = match kind {
                AclKind::Access => "system.posix_acl_access",
                AclKind::Default => "system.posix_acl_default",
            };
            Ok(rustix::fs::lsetxattr(place.through_proc(), name, &acl(*uid, *permissions), XattrFlags::empty())?)
        }
    }
}

/// A name in an open directory: what the `*at` calls want.
struct Place {
    directory: OwnedFd,
    name: OsString,
}

impl Place {
    /// A symlink on the way is an error (`ELOOP`), so a tree cannot lead us outside.
    fn resolve(root: &Path, path: &Path) -> io::Result<Self> {
        let open = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, root, open, Mode::empty())?;
        let Some(name) = path.file_name() else {
            return Ok(Self { directory: root, name: ".".into() });
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let directory =
            rustix::fs::openat2(&root, parent, open, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?;
        Ok(Self { directory, name: name.to_owned() })
    }

    fn open(&self, flags: OFlags) -> io::Result<OwnedFd> {
        // NONBLOCK, so that a pipe without a reader is an error and not a wait.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        if !matches!(self.kind()?, FileType::RegularFile | FileType::Symlink | FileType::Directory) {
            return Err(Errno::INVAL.into());
        }
        Ok(rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty())?)
    }

    fn kind(&self) -> io::Result<FileType> {
        let stat = rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    fn refuse_symlink(&self) -> io::Result<()> {
        match self.kind()? {
            FileType::Symlink => Err(Errno::OPNOTSUPP.into()),
            _ => Ok(()),
        }
    }

    fn chmod(&self, mode: u32) -> io::Result<()> {
        self.refuse_symlink()?;
        Ok(rustix::fs::chmodat(&self.directory, &self.name, permissions(mode), AtFlags::empty())?)
    }

    fn mknod(&self, kind: FileType, device: u64, mode: u32) -> io::Result<()> {
        rustix::fs::mknodat(&self.directory, &self.name, kind, Mode::RUSR | Mode::WUSR, device)?;
        self.chmod(mode)
    }

    fn remove(&self) -> io::Result<()> {
        let flags = match self.kind()? {
            FileType::Directory => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        Ok(rustix::fs::unlinkat(&self.directory, &self.name, flags)?)
    }

    fn remove_all(&self) -> io::Result<()> {
        if self.kind()? == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty())?;
            for name in names(directory.as_fd())? {
                Self { directory: directory.try_clone()?, name }.remove_all()?;
            }
        }
        self.remove()
    }

    /// A path for the xattr calls, which have no `*at` form before Linux 6.13.
    fn through_proc(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.directory.as_raw_fd().to_string()).join(&self.name)
    }
}

fn names(directory: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut names = vec![];
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode as RawMode)
}

fn write_all(file: &OwnedFd, mut data: &[u8], offset: Option<u64>) -> io::Result<()> {
    let mut offset = offset;
    while !data.is_empty() {
        let written = match &mut offset {
            None => rustix::io::write(file, data)?,
            Some(offset) => {
                let written = rustix::io::pwrite(file, data, *offset)?;
                *offset += written as u64;
                written
            }
        };
        data = &data[written..];
    }
    Ok(())
}

/// `user::rwx user:UID:PERMISSIONS group::--- mask::rwx other::---` as the xattr that the kernel takes: version 2,
/// then tag, permissions and id of each entry, little-endian (include/uapi/linux/posix_acl_xattr.h).
fn acl(uid: u32, permissions: u16) -> Vec<u8> {
    const NO_ID: u32 = u32::MAX;
    const USER_OBJ: u16 = 0x01;
    const USER: u16 = 0x02;
    const GROUP_OBJ: u16 = 0x04;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;
    let entries = [
        (USER_OBJ, 0o7, NO_ID),
        (USER, permissions, uid),
        (GROUP_OBJ, 0, NO_ID),
        (MASK, 0o7, NO_ID),
        (OTHER, 0, NO_ID),
    ];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn operations_do_what_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let ops = [
            Op::mkdir_mode("d", 0o1777),
            Op::file_mode("d/f", "hello", 0o4711),
            Op::append("d/f", " world"),
            Op::overwrite("d/f", 0, "J"),
            Op::link("d/f", "g"),
            Op::symlink("/etc", "away"),
            Op::fifo("pipe"),
            Op::rename("pipe", "tube"),
            Op::utimes("g", 1_000_000_000, 123_456_789),
        ];
        for op in &ops {
            execute(root, op).unwrap();
        }
        assert_eq!(fs::read(root.join("g")).unwrap(), b"Jello world");
        let stat = fs::metadata(root.join("d/f")).unwrap();
        assert_eq!((stat.nlink(), stat.mtime(), stat.mtime_nsec()), (2, 1_000_000_000, 123_456_789));
        assert_eq!(fs::metadata(root.join("d")).unwrap().mode() & 0o7777, 0o1777);
        execute(root, &Op::remove_all("d")).unwrap();
        assert!(!root.join("d").exists());
    }

    #[test]
    fn a_symlink_does_not_lead_out_of_the_tree() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        execute(inside.path(), &Op::symlink(outside.path(), "out")).unwrap();
        let error = execute(inside.path(), &Op::file("out/f", "x")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        execute(dir.path(), &Op::fifo("p")).unwrap();
        assert!(execute(dir.path(), &Op::append("p", "x")).is_err());
    }
}
