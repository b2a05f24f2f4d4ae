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
