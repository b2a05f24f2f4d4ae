use std::os::fd::{AsFd, BorrowedFd};

use rustix::{
    fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, chmodat, chownat, fchmod, fchown, fstat, futimens, utimensat},
    io::Errno,
};

use super::{Owners, notes::Notes};
use crate::{
    Fault,
    error::owner_refused,
    tar::read::Entry,
    xattrs::{self, Of, Xattrs},
};

/// What an inode is to be like, but for its content.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub xattrs: Xattrs,
}

impl Attributes {
    /// Of a directory that no entry describes.
    pub const fn implied() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: (0, 0), xattrs: Vec::new() }
    }
}

impl From<Entry> for Attributes {
    fn from(entry: Entry) -> Self {
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        Self { mode, uid, gid, mtime, xattrs }
    }
}

/// A [`Fault::Io`] maker for `map_err`.
pub(super) fn io<E: Into<std::io::Error>>(op: &'static str) -> impl FnOnce(E) -> Fault {
    move |source| Fault::Io { op, source: source.into() }
}

fn unowned(wanted: (Uid, Gid)) -> impl FnOnce(Errno) -> Fault {
    move |errno| {
        let source = owner_refused(errno, wanted, ", or use --driver-opt owners=squash");
        Fault::Io { op: "set the owner of", source }
    }
}

pub(super) fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets attributes in the one order that keeps them: chown(2) takes setuid bits and capabilities away, and
/// everything else moves no time but ctime.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setter<'a> {
    pub owners: Owners,
    pub notes: &'a Notes,
}

impl Setter<'_> {
    fn owner(self, to: &Attributes) -> Option<(Uid, Gid)> {
        let (uid, gid) = match self.owners {
            Owners::Keep => (to.uid, to.gid),
            Owners::Give(uid, gid) => (uid, gid),
            Owners::Squash => return None,
        };
        Some((Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    /// Of an open file or directory. `inherited` says that the directory it was made in hands ACLs down.
    ///
    /// Most files are born with the owner and mode that they are to have; to see that is much cheaper than to set them,
    /// which writes to the file system's journal.
    pub fn open(self, fd: BorrowedFd<'_>, to: &Attributes, inherited: bool, path: &[u8]) -> Result<(), Fault> {
        let now = fstat(fd).map_err(io("examine"))?;
        let owner = self.owner(to).filter(|(uid, gid)| (uid.as_raw(), gid.as_raw()) != (now.st_uid, now.st_gid));
        if let Some((uid, gid)) = owner {
            fchown(fd, Some(uid), Some(gid)).map_err(unowned((uid, gid)))?;
        }
        if inherited {
            Self::disinherit(Of::Fd(fd), to);
        }
        let mode = Mode::from_raw_mode(to.mode);
        if owner.is_some() || inherited || Mode::from_raw_mode(now.st_mode) != mode {
            fchmod(fd, mode).map_err(io("set the mode of"))?;
        }
        self.xattrs(Of::Fd(fd), to, path)?;
        futimens(fd, &times(to.mtime)).map_err(io("set the times of"))
    }

    /// Of a symlink, fifo or device.
    pub fn named(
        self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        to: &Attributes,
        is_symlink: bool,
        inherited: bool,
        path: &[u8],
    ) -> Result<(), Fault> {
        const STAY: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = self.owner(to) {
            chownat(dir, name, Some(uid), Some(gid), STAY).map_err(unowned((uid, gid)))?;
        }
        if !is_symlink {
            if inherited {
                Self::disinherit(Of::Name(dir, name), to);
            }
            // Only symlinks would be followed, and this is none: it was made just now.
            chmodat(dir, name, Mode::from_raw_mode(to.mode), AtFlags::empty()).map_err(io("set the mode of"))?;
        }
        self.xattrs(Of::Name(dir, name), to, path)?;
        utimensat(dir, name, &times(to.mtime), STAY).map_err(io("set the times of"))
    }

    /// Takes away the ACLs that came from the directory's default ACL and that the entry does not have.
    fn disinherit(of: Of<'_>, to: &Attributes) {
        for key in [xattrs::ACL_ACCESS, xattrs::ACL_DEFAULT] {
            if !to.xattrs.iter().any(|(name, _)| name == key) {
                // There is none on most, and that is an error.
                let _ = of.remove(key);
            }
        }
    }

    fn xattrs(self, of: Of<'_>, to: &Attributes, path: &[u8]) -> Result<(), Fault> {
        for (name, value) in &to.xattrs {
            self.xattr(of, name, value, path)?;
        }
        Ok(())
    }

    fn xattr(self, of: Of<'_>, name: &[u8], value: &[u8], path: &[u8]) -> Result<(), Fault> {
        if !xattrs::is_content(name) {
            self.notes.skip(path, "its overlay or SELinux xattrs describe another host's storage");
            return Ok(());
        }
        match of.set(name, value) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => {
                self.notes.skip(path, "an xattr of it is not possible here");
                Ok(())
            }
            Err(Errno::INVAL | Errno::RANGE | Errno::TOOBIG) => {
                Err(Fault::Refused("the kernel finds an xattr invalid"))
            }
            Err(error) => Err(io("set an xattr of")(error)),
        }
    }

    /// Makes a directory that was there before have these attributes and no other xattrs.
    pub fn replace(self, dir: BorrowedFd<'_>, to: &Attributes, path: &[u8]) -> Result<(), Fault> {
        let of = Of::Fd(dir.as_fd());
        for name in of.names().map_err(io("read the xattrs of"))? {
            if xattrs::is_content(&name) && !to.xattrs.iter().any(|(kept, _)| *kept == name) {
                match of.remove(&name) {
                    Ok(()) | Err(Errno::NODATA | Errno::PERM | Errno::OPNOTSUPP) => {}
                    Err(error) => return Err(io("remove an xattr of")(error)),
                }
            }
        }
        self.open(dir, to, false, path)
    }
}
