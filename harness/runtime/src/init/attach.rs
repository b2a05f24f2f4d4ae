//! Mounts as descriptors: made or copied detached, given their attributes, then attached to a place that is a
//! descriptor too. No path is looked up twice, so nothing can be exchanged in between.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::CWD,
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
    },
};

use super::failure::{Failed, OrFail};
use crate::{exec, plan::Setting};

/// A new file system, not attached yet.
pub(super) fn new_file_system(
    fstype: &CStr,
    name: &CStr,
    options: &[Setting],
    attributes: u64,
) -> Result<OwnedFd, Failed> {
    let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).or_fail(|| format!("open file system {fstype:?}"))?;
    let made = configure(&context, name, options).and_then(|()| {
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::from_bits_retain(attributes as u32))
    });
    made.or_fail(|| format!("mount a new {fstype:?}{}", log(context.as_fd())))
}

fn configure(context: &OwnedFd, name: &CStr, options: &[Setting]) -> Result<(), Errno> {
    fsconfig_set_string(context, c"source", name)?;
    for option in options {
        match &option.value {
            Some(value) => fsconfig_set_string(context, option.key.as_c_str(), value.as_c_str())?,
            None => fsconfig_set_flag(context, option.key.as_c_str())?,
        }
    }
    fsconfig_create(context)
}

/// What the kernel says about the last call, in brackets: the only readable reason that there is.
fn log(context: BorrowedFd<'_>) -> String {
    let mut text = String::new();
    let mut buffer = [0; 512];
    while let Ok(n @ 1..) = rustix::io::read(context, &mut buffer) {
        text.push_str(if text.is_empty() { " (" } else { "; " });
        text.push_str(String::from_utf8_lossy(&buffer[..n]).trim_end().trim_start_matches(['e', 'w', 'i', ' ']));
    }
    if !text.is_empty() {
        text.push(')');
    }
    text
}

/// A copy of the mount at `path` from there on, not attached yet.
pub(super) fn copy_path(path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    open_tree(CWD, path, copy_flags(recursive))
}

/// A copy of the mount at the place that `fd` refers to.
pub(super) fn copy(fd: impl AsFd, recursive: bool) -> Result<OwnedFd, Errno> {
    open_tree(fd, c"", copy_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH)
}

fn copy_flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

/// Attaches `mount` at `target`.
pub(super) fn attach(mount: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// Makes `mount` read-only, with all below when `recursive`.
pub(super) fn make_read_only(mount: impl AsFd, recursive: bool) -> std::io::Result<()> {
    exec::mount_set_attributes(mount.as_fd(), recursive, libc::MOUNT_ATTR_RDONLY, 0, 0)
}
