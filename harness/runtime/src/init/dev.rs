//! The content of `/dev`.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};

use super::{
    attach, beneath,
    failure::{Failed, OrFail},
};
use crate::{exec, plan::Device};

/// Links that programs expect, see the default devices and the `/dev` symbolic links of the OCI runtime specification
/// (runtime-linux.md, "Default Devices" and "/dev symbolic links").
const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"pts/ptmx", c"ptmx"),
];

/// Makes device nodes and links in the fresh `/dev`. With `known_only`, nodes that are made there later cannot be opened.
pub(super) fn fill(root: BorrowedFd<'_>, devices: &[Device], known_only: bool) -> Result<(), Failed> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let dev = beneath::open_without_links(root, Path::new("/dev"), flags).or_fail(|| "open /dev".into())?;
    let mut nodes = Vec::with_capacity(devices.len());
    for device in devices {
        nodes.extend(make(root, device)?);
    }
    // The specification has it where the kernel does.
    let core = std::fs::exists("/proc/kcore").unwrap_or(false).then_some((c"/proc/kcore", c"core"));
    for (target, name) in LINKS.into_iter().chain(core) {
        match rustix::fs::symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).or_fail(|| format!("link /dev/{}", name.to_string_lossy())),
        }
    }
    if known_only { keep_only(&dev, &nodes).or_fail(|| "keep other devices out of /dev".into()) } else { Ok(()) }
}

/// Takes all devices from the mount of `/dev`, and puts each of `nodes` back by a mount of its own.
fn keep_only(dev: &OwnedFd, nodes: &[OwnedFd]) -> std::io::Result<()> {
    let copies = nodes.iter().map(|node| attach::copy(node, false)).collect::<Result<Vec<_>, _>>()?;
    exec::mount_set_attributes(dev.as_fd(), false, libc::MOUNT_ATTR_NODEV, 0, 0)?;
    for (copy, node) in copies.iter().zip(nodes) {
        attach::attach(copy, node)?;
    }
    Ok(())
}

/// Makes a node; returns it unless it is a mount already.
fn make(root: BorrowedFd<'_>, device: &Device) -> Result<Option<OwnedFd>, Failed> {
    let what = || format!("make the device {}", device.path.to_string_lossy());
    let path = beneath::path(&device.path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failed::because(format!("{} is no path of a device", device.path.to_string_lossy())));
    };
    let parent = beneath::directory(root, parent, false).or_fail(what)?;
    let (kind, mode) = (FileType::from_raw_mode(device.mode), Mode::from_raw_mode(device.mode));
    match rustix::fs::mknodat(&parent, name, kind, mode, rustix::fs::makedev(device.major, device.minor)) {
        // In a user namespace nodes cannot be made, so the host's serve.
        Err(Errno::PERM) => return bind_host_node(&parent, device).or_fail(what).map(|()| None),
        made => made.or_fail(what)?,
    }
    if device.uid != 0 || device.gid != 0 {
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .or_fail(what)?;
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&parent, name, flags, Mode::empty()).or_fail(what).map(Some)
}

/// Binds the node of the same path on the host, if it is the same device.
fn bind_host_node(parent: &OwnedFd, device: &Device) -> Result<(), Errno> {
    let mount = attach::copy_path(&device.path, false)?;
    let stat = rustix::fs::fstat(&mount)?;
    let same = FileType::from_raw_mode(stat.st_mode) == FileType::from_raw_mode(device.mode)
        && stat.st_rdev == rustix::fs::makedev(device.major, device.minor);
    if !same {
        return Err(Errno::NXIO);
    }
    let name = beneath::path(&device.path).file_name().ok_or(Errno::INVAL)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    drop(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))?);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    attach::attach(mount.as_fd(), &place)
}
