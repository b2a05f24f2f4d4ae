//! mount(2) with its one page of options.

use std::{ffi::CString, io, path::Path, thread};

use rustix::{
    mount::{MountFlags, mount},
    thread::{UnshareFlags, unshare_unsafe},
};

/// The longest option string that mount(2) takes whole, in bytes.
///
/// The kernel copies one page of options and puts a NUL in its last byte, so a longer string is cut there
/// without a word: a path cut in the middle may name another directory, which is then mounted. Pages are
/// at least 4 KiB everywhere.
pub const OPTIONS_LIMIT: usize = 4095;

/// Mounts with option paths relative to `directory`, so that many fit into one page.
///
/// Working directories belong to the whole process, so this happens in a thread with its own
/// (unshare(2), `CLONE_FS`); the mount namespace stays the caller's.
///
/// # Errors
/// `E2BIG` when `options` is longer than [`OPTIONS_LIMIT`]; otherwise mount(2)'s.
pub fn mount_in_directory(
    directory: &Path,
    fs_type: &str,
    target: &Path,
    flags: MountFlags,
    options: &str,
) -> io::Result<()> {
    if options.len() > OPTIONS_LIMIT {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let options = CString::new(options)?;
    let work = || -> io::Result<()> {
        own_working_directory()?;
        rustix::process::chdir(directory)?;
        Ok(mount(fs_type, target, fs_type, flags, Some(options.as_c_str()))?)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("mount".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the mounting thread panicked")))
    })
}

#[allow(unsafe_code)]
fn own_working_directory() -> io::Result<()> {
    // SAFETY: unsharing file-system attributes affects this thread alone, which was started for this and ends with
    // it; no descriptor table is unshared, so no descriptor that other threads rely on changes meaning.
    Ok(unsafe { unshare_unsafe(UnshareFlags::FS) }?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{mount::detach, mountinfo};

    /// Pads an overlay's options to `length` with a path that names the directory `lower`, whatever is cut off it.
    fn padded(length: usize) -> String {
        let start = "lowerdir=other:".to_owned();
        let path = format!("{}lower", "./".repeat((length - start.len() - 5) / 2));
        let slash = "/".repeat(length - start.len() - path.len());
        format!("{start}{}", path.replacen("./", &format!("./{slash}"), 1))
    }

    #[test]
    fn privileged_a_full_page_is_mounted_and_one_byte_more_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["other", "lower", "lowe", "target"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("lower/right"), "").unwrap();
        let target = dir.path().join("target");
        let before = std::env::current_dir().unwrap();
        let mount = |length| {
            let options = padded(length);
            assert_eq!(options.len(), length);
            mount_in_directory(dir.path(), "overlay", &target, MountFlags::RDONLY, &options)
        };
        mount(OPTIONS_LIMIT).unwrap();
        assert!(target.join("right").exists());
        detach(&target).unwrap();
        // Here the kernel would cut "lower" to "lowe", and mount that.
        assert_eq!(mount(OPTIONS_LIMIT + 1).unwrap_err().raw_os_error(), Some(libc::E2BIG));
        assert!(mountinfo::below(&target.canonicalize().unwrap()).unwrap().is_empty());
        assert_eq!(std::env::current_dir().unwrap(), before);
    }
}
