//! Extended attributes of a name in an open directory, which is never followed: `listxattrat` and `getxattrat`, since Linux 6.13
//! (include/uapi/linux/xattr.h). Without them the way to such a name is a path through /proc, which the kernel looks up piece by piece.

#![allow(unsafe_code, reason = "neither rustix nor libc wraps these calls")]

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering},
};

// One number everywhere but on alpha and mips: include/uapi/asm-generic/unistd.h.
const SYS_GETXATTRAT: libc::c_long = 464;
const SYS_LISTXATTRAT: libc::c_long = 465;

/// `struct xattr_args`.
#[repr(C, align(8))]
struct Args {
    value: u64,
    size: u32,
    flags: u32,
}

static MISSING: AtomicBool = AtomicBool::new(false);

/// Lists the names into `list`, each with a zero at its end, as llistxattr(2); how many bytes they are. `None` where the kernel has no
/// such call.
///
/// # Errors
/// llistxattr(2)'s; `EINVAL` of a name with a zero.
pub fn list(dir: BorrowedFd<'_>, name: &[u8], list: &mut [u8]) -> Option<io::Result<usize>> {
    call(name, |name| {
        let (dir, list, size) = (dir.as_raw_fd(), list.as_mut_ptr(), list.len());
        // SAFETY: the name ends with a zero, and the kernel writes at most `size` bytes to `list`, which has that many.
        unsafe { libc::syscall(SYS_LISTXATTRAT, dir, name, libc::AT_SYMLINK_NOFOLLOW, list, size) }
    })
}

/// Reads one of them into `value`, as lgetxattr(2); how many bytes it has. `None` where the kernel has no such call.
///
/// # Errors
/// lgetxattr(2)'s; `EINVAL` of a name or a key with a zero.
pub fn get(dir: BorrowedFd<'_>, name: &[u8], key: &[u8], value: &mut [u8]) -> Option<io::Result<usize>> {
    let Ok(key) = CString::new(key) else { return Some(Err(io::ErrorKind::InvalidInput.into())) };
    call(name, |name| {
        let size = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let args = Args { value: value.as_mut_ptr() as u64, size, flags: 0 };
        let (dir, nofollow) = (dir.as_raw_fd(), libc::AT_SYMLINK_NOFOLLOW);
        // SAFETY: both names end with a zero; `Args` is the kernel's record of the size that is given; the kernel writes at most
        // `size` bytes to the value's memory, which has at least that many.
        unsafe { libc::syscall(SYS_GETXATTRAT, dir, name, nofollow, key.as_ptr(), &raw const args, size_of::<Args>()) }
    })
}

fn call(name: &[u8], call: impl FnOnce(*const libc::c_char) -> libc::c_long) -> Option<io::Result<usize>> {
    if MISSING.load(Ordering::Relaxed) {
        return None;
    }
    let Ok(name) = CString::new(name) else { return Some(Err(io::ErrorKind::InvalidInput.into())) };
    match usize::try_from(call(name.as_ptr())) {
        Ok(size) => Some(Ok(size)),
        Err(_) => match io::Error::last_os_error() {
            // Filters older than the call answer with EPERM, which these calls do not.
            error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                MISSING.store(true, Ordering::Relaxed);
                None
            }
            error => Some(Err(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsFd};

    use super::*;

    #[test]
    fn the_record_has_the_kernels_size() {
        // XATTR_ARGS_SIZE_VER0
        assert_eq!(size_of::<Args>(), 16);
    }

    #[test]
    fn names_are_found_and_links_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("f"), "").unwrap();
        std::os::unix::fs::symlink("f", place.path().join("l")).unwrap();
        rustix::fs::setxattr(place.path().join("f"), "user.a", b"one", rustix::fs::XattrFlags::empty()).unwrap();
        let dir = File::open(place.path()).unwrap();
        let mut buffer = [0; 256];
        // Where the kernel is older, there is nothing to try.
        let Some(listed) = list(dir.as_fd(), b"f", &mut buffer) else { return };
        let listed = listed.unwrap();
        assert!(buffer[..listed].split(|&byte| byte == 0).any(|name| name == b"user.a"));
        let size = get(dir.as_fd(), b"f", b"user.a", &mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..size], b"one");
        let of_link = get(dir.as_fd(), b"l", b"user.a", &mut buffer).unwrap().unwrap_err();
        assert_eq!(of_link.raw_os_error(), Some(libc::ENODATA));
        let short = get(dir.as_fd(), b"f", b"user.a", &mut [0; 1]).unwrap().unwrap_err();
        assert_eq!(short.raw_os_error(), Some(libc::ERANGE));
    }
}
