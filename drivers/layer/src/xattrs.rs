use std::{
    io,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr, lremovexattr, lsetxattr},
    io::Errno,
};

use storage_sys::xattrat;

/// Sorted by name.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// The largest value and the largest list that Linux knows (xattr(7)).
const LARGEST: usize = 64 * 1024;

pub(crate) const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
pub(crate) const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

/// Whose xattrs: of an open file or directory, or of a name in an open directory, which is never followed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of<'a> {
    Fd(BorrowedFd<'a>),
    Name(BorrowedFd<'a>, &'a [u8]),
}

impl Of<'_> {
    /// The calls relative to a descriptor came with Linux 6.13 (see [`xattrat`]); before them the way to stay beneath
    /// a directory is its descriptor's link in /proc. Only the last component is a name of the tree, and the `l`
    /// calls do not follow that one.
    fn path(dir: BorrowedFd<'_>, name: &[u8]) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        path.push(Path::new(std::ffi::OsStr::from_bytes(name)));
        path
    }

    fn list_into(self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Of::Fd(fd) => flistxattr(fd, buffer),
            Of::Name(dir, name) => match xattrat::list(dir, name, buffer) {
                Some(answer) => answer.map_err(errno),
                None => llistxattr(Self::path(dir, name), buffer),
            },
        }
    }

    fn get_into(self, key: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Of::Fd(fd) => fgetxattr(fd, key, buffer),
            Of::Name(dir, name) => match xattrat::get(dir, name, key, buffer) {
                Some(answer) => answer.map_err(errno),
                None => lgetxattr(Self::path(dir, name), key, buffer),
            },
        }
    }

    /// All names, sorted; none where the file system has no xattrs.
    pub fn names(self) -> io::Result<Vec<Vec<u8>>> {
        let mut short = [0; 1024];
        let mut long = Vec::new();
        let list = match self.list_into(&mut short) {
            Ok(length) => &short[..length],
            Err(Errno::OPNOTSUPP) => &[],
            Err(Errno::RANGE) => {
                long.resize(LARGEST, 0);
                let length = self.list_into(&mut long)?;
                &long[..length]
            }
            Err(error) => return Err(error.into()),
        };
        let mut names: Vec<_> = list.split(|&byte| byte == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect();
        names.sort_unstable();
        Ok(names)
    }

    pub fn get(self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut short = [0; 256];
        match self.get_into(key, &mut short) {
            Ok(length) => Ok(Some(short[..length].to_vec())),
            Err(Errno::RANGE) => {
                let mut long = vec![0; LARGEST];
                let length = self.get_into(key, &mut long)?;
                long.truncate(length);
                Ok(Some(long))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn set(self, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Of::Fd(fd) => fsetxattr(fd, key, value, XattrFlags::empty()),
            Of::Name(dir, name) => lsetxattr(Self::path(dir, name), key, value, XattrFlags::empty()),
        }
    }

    pub fn remove(self, key: &[u8]) -> Result<(), Errno> {
        match self {
            Of::Fd(fd) => fremovexattr(fd, key),
            Of::Name(dir, name) => lremovexattr(Self::path(dir, name), key),
        }
    }

    /// The values of those `names` that belong to a layer.
    pub fn values(self, names: &[Vec<u8>]) -> io::Result<Xattrs> {
        let mut all = Vec::new();
        for name in names.iter().filter(|name| is_content(name)) {
            if let Some(value) = self.get(name)? {
                all.push((name.clone(), value));
            }
        }
        Ok(all)
    }

    /// All that belong to a layer.
    pub fn read(self) -> io::Result<Xattrs> {
        self.values(&self.names()?)
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// False for overlayfs's own marks, which describe how a driver stores a tree; for SELinux labels, which belong to the
/// host's policy and not to an image; and for the form in which xfs keeps ACLs, which it lists beside them.
pub(crate) fn is_content(name: &[u8]) -> bool {
    !is_overlay(name) && name != b"security.selinux" && !name.starts_with(b"trusted.SGI_ACL_")
}

pub(crate) fn is_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}
