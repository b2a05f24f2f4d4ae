//! Files that are in the container and not in its root file system, and paths of the kernel's file systems that the
//! container must not read.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags},
    io::Errno,
};

use super::{
    attach, beneath,
    failure::{Failed, OrFail},
};
use crate::plan::{Plan, Setting};

/// Puts `plan.files` in place and covers `plan.masked_paths`.
pub(super) fn place(root: BorrowedFd<'_>, plan: &Plan) -> Result<(), Failed> {
    let masked = find_masked(root, plan)?;
    let null = masked.iter().any(|m| !m.directory).then(open_null).transpose()?;
    // One small file system holds all that is put in place. It has to be attached somewhere before parts of it can be
    // bound; it goes where the change of root takes it away together with the host's tree.
    let needed = !plan.files.is_empty() || masked.iter().any(|m| m.directory);
    let scratch = needed.then(attach_scratch).transpose()?;
    if let Some(scratch) = &scratch {
        for (index, file) in plan.files.iter().enumerate() {
            let what = || format!("put the file {} in place", file.path.to_string_lossy());
            let name = index.to_string();
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
            let made = rustix::fs::openat(scratch, &name, flags, Mode::from_raw_mode(0o644)).or_fail(what)?;
            write_all(&made, &file.content.0).or_fail(what)?;
            let place = beneath::file(root, beneath::path(&file.path)).or_fail(what)?;
            let mount = attach::copy(&made, false).or_fail(what)?;
            attach::attach(&mount, &place).or_fail(what)?;
        }
    }
    for Masked { path, place, directory } in masked {
        let what = || format!("mask {}", path.to_string_lossy());
        let cover = match (directory, &scratch, &null) {
            (true, Some(scratch), _) => empty_directory(scratch).or_fail(what)?,
            (false, _, Some(null)) => attach::copy(null, false).or_fail(what)?,
            _ => continue,
        };
        attach::attach(&cover, &place).or_fail(what)?;
    }
    Ok(())
}

struct Masked<'a> {
    path: &'a CStr,
    place: OwnedFd,
    directory: bool,
}

fn find_masked<'a>(root: BorrowedFd<'_>, plan: &'a Plan) -> Result<Vec<Masked<'a>>, Failed> {
    let mut found = Vec::new();
    for path in &plan.masked_paths {
        let what = || format!("mask {}", path.to_string_lossy());
        let place = match beneath::open_without_links(root, beneath::path(path), OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            other => other.or_fail(what)?,
        };
        let directory = beneath::is_directory(&place).or_fail(what)?;
        found.push(Masked { path, place, directory });
    }
    Ok(found)
}

fn attach_scratch() -> Result<OwnedFd, Failed> {
    let what = || "attach a scratch file system".to_owned();
    let options = [Setting { key: c"mode".into(), value: Some(c"755".into()) }];
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    let scratch = attach::new_file_system(c"tmpfs", c"harness", &options, attributes)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, c"/proc", flags, Mode::empty()).or_fail(what)?;
    attach::attach(&scratch, &place).or_fail(what)?;
    Ok(scratch)
}

/// A read-only mount of an empty directory.
fn empty_directory(scratch: &OwnedFd) -> std::io::Result<OwnedFd> {
    match rustix::fs::mkdirat(scratch, c"empty", Mode::from_raw_mode(0o555)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(scratch, c"empty", flags, Mode::empty())?;
    let mount = attach::copy(&directory, false)?;
    attach::make_read_only(mount.as_fd(), false)?;
    Ok(mount)
}

/// The host's `/dev/null`, which hides the files bound over by it.
fn open_null() -> Result<OwnedFd, Failed> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let null = rustix::fs::openat(CWD, c"/dev/null", flags, Mode::empty()).or_fail(|| "open /dev/null".into())?;
    let stat = rustix::fs::fstat(&null).or_fail(|| "stat /dev/null".into())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || stat.st_rdev != rustix::fs::makedev(1, 3) {
        return Err(Failed::because("the host's /dev/null is not the null device"));
    }
    Ok(null)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let n = rustix::io::write(file, bytes)?;
        bytes = &bytes[n..];
    }
    Ok(())
}
