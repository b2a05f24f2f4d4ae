use std::os::fd::BorrowedFd;

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fchmod, fchown, futimens,
        utimensat,
    },
    io::Errno,
};

use super::CopyOptions;
use crate::{
    error::owner_refused,
    xattrs::{ACL_ACCESS, ACL_DEFAULT, Of, Xattrs},
};

/// What an inode is to be like, but for its content.
#[derive(Debug)]
pub(super) struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    times: Timestamps,
    pub xattrs: Xattrs,
}

/// What was being set when it failed.
pub(super) type Failure = (&'static str, std::io::Error);

/// An inode as it is now, to save what is not needed: every change costs the file system a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl From<&Stat> for Present {
    fn from(stat: &Stat) -> Self {
        Self { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
    }
}

impl Attributes {
    pub fn new(stat: &Stat, mut xattrs: Xattrs, options: &CopyOptions<'_>) -> Self {
        let (uid, gid) = options.owner.unwrap_or((stat.st_uid, stat.st_gid));
        let mut mode = stat.st_mode & 0o7777;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if let Some(change) = options.mode
            && kind != FileType::Symlink
        {
            mode = change(mode, kind == FileType::Directory) & 0o7777;
            // It would set the mode again (acl(5), "CORRESPONDENCE BETWEEN ACL ENTRIES AND FILE PERMISSION BITS").
            xattrs.retain(|(name, _)| name != ACL_ACCESS);
        }
        Self { mode, uid, gid, times: times(stat), xattrs }
    }

    /// Sets all on an open file or directory, in the one order that keeps them: chown(2) takes setuid bits and
    /// capabilities away. `inherited` says that it may have got ACLs from the directory it was made in.
    ///
    /// `skipped` hears of xattrs that could not be set and that the caller can do without.
    pub fn set_open(
        &self,
        fd: BorrowedFd<'_>,
        present: Present,
        inherited: bool,
        skipped: &mut dyn FnMut(&[u8], Errno) -> bool,
    ) -> Result<(), Failure> {
        let owned = present.uid == self.uid && present.gid == self.gid;
        if !owned {
            let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
            fchown(fd, Some(uid), Some(gid)).map_err(unowned((uid, gid)))?;
        }
        if inherited {
            self.disinherit(Of::Fd(fd));
        }
        if inherited || !owned || present.mode != self.mode {
            fchmod(fd, Mode::from_raw_mode(self.mode)).map_err(at("set the mode of"))?;
        }
        self.set_xattrs(Of::Fd(fd), skipped)?;
        futimens(fd, &self.times).map_err(at("set the times of"))
    }

    /// The same for a symlink, fifo, socket or device.
    pub fn set_named(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        is_symlink: bool,
        inherited: bool,
        skipped: &mut dyn FnMut(&[u8], Errno) -> bool,
    ) -> Result<(), Failure> {
        const STAY: AtFlags = AtFlags::SYMLINK_NOFOLLOW;
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(dir, name, Some(uid), Some(gid), STAY).map_err(unowned((uid, gid)))?;
        if !is_symlink {
            if inherited {
                self.disinherit(Of::Name(dir, name));
            }
            // fchmodat(2) cannot be told not to follow; what is there was made just now and is no symlink.
            chmodat(dir, name, Mode::from_raw_mode(self.mode), AtFlags::empty()).map_err(at("set the mode of"))?;
        }
        self.set_xattrs(Of::Name(dir, name), skipped)?;
        utimensat(dir, name, &self.times, STAY).map_err(at("set the times of"))
    }

    /// Takes away ACLs that the source does not have. That there is none is an error, and the usual case.
    fn disinherit(&self, of: Of<'_>) {
        for key in [ACL_ACCESS, ACL_DEFAULT] {
            if !self.xattrs.iter().any(|(name, _)| name == key) {
                _ = of.remove(key);
            }
        }
    }

    fn set_xattrs(&self, of: Of<'_>, skipped: &mut dyn FnMut(&[u8], Errno) -> bool) -> Result<(), Failure> {
        for (name, value) in &self.xattrs {
            match of.set(name, value) {
                Ok(()) => {}
                Err(errno) if skipped(name, errno) => {}
                Err(errno) => return Err(("set the xattrs of", xattr_error(name, errno))),
            }
        }
        Ok(())
    }
}

/// The errno alone would leave open which of several it was.
fn xattr_error(name: &[u8], errno: Errno) -> std::io::Error {
    let source = std::io::Error::from(errno);
    std::io::Error::new(source.kind(), XattrError { name: name.escape_ascii().to_string(), source })
}

#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
struct XattrError {
    name: String,
    source: std::io::Error,
}

fn unowned(wanted: (Uid, Gid)) -> impl FnOnce(Errno) -> Failure {
    move |errno| ("set the owner of", owner_refused(errno, wanted, ""))
}

fn at<E: Into<std::io::Error>>(op: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| (op, error.into())
}

// The fields' types differ between architectures.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_wrap)]
fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime as i64, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime as i64, tv_nsec: stat.st_mtime_nsec as _ },
    }
}
