//! The container's file system: its mounts, put together below its root, and the change into it.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{CWD, OFlags},
    io::Errno,
    mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount},
};

use super::{
    attach, beneath, copy_up, dev,
    failure::{Failed, OrFail},
    files, terminal,
};
use crate::{
    channel, exec,
    plan::{MountStep, Plan, Propagation, Setting, Source},
};

/// Builds the tree of mounts and makes it this process's root. Returns the parent's end of the container's terminal.
/// The mounts that the parent has made, if any, are `given`.
pub(super) fn enter(plan: &Plan, control: BorrowedFd<'_>, given: Vec<OwnedFd>) -> Result<Option<OwnedFd>, Failed> {
    let is_given = !given.is_empty();
    let mut given = given.into_iter();
    let given_root = given.next();
    // Copies are peers of what they are copies of, so these are made while there are peers.
    let mut copy = |step| if is_given { Ok(next_bind(step, &mut given)) } else { copy_of_peer(step) };
    let peers = plan.mounts.iter().map(&mut copy).collect::<Result<Vec<_>, _>>()?;
    // Nothing of what follows may travel back to the host; see mount_namespaces(7) on shared mounts.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .or_fail(|| "make the mounts private".into())?;
    let root = match given_root {
        Some(root) => attach_root(root)?,
        None => open_rootfs(plan)?,
    };
    if plan.known_devices_only {
        deny_devices(&root).or_fail(|| "deny devices of the root file system".into())?;
    }
    for (step, peer) in plan.mounts.iter().zip(peers) {
        mount(root.as_fd(), step, peer, plan.known_devices_only)?;
    }
    if plan.fill_dev {
        dev::fill(root.as_fd(), &plan.devices, plan.known_devices_only)?;
    }
    let open_terminal = |size| terminal::open(root.as_fd(), size, &plan.process, true);
    let master = plan.terminal.as_ref().map(open_terminal).transpose()?;
    set_sysctls(root.as_fd(), plan)?;
    files::place(root.as_fd(), plan)?;
    for path in &plan.readonly_paths {
        protect(root.as_fd(), path)?;
    }
    let read_only_root = plan.readonly_rootfs.then(|| attach::make_read_only(&root, false)).transpose();
    read_only_root.or_fail(|| "make the root file system read-only".into())?;
    if let Some(hooks) = &plan.hooks {
        if hooks.asks {
            channel::ask_for_hooks(control).or_fail(|| "wait for hooks".into())?;
        }
        crate::hooks::run_all(&hooks.create_container, &hooks.creating.0)
            .map_err(|step| Failed::because(format!("run a createContainer hook: {step}")))?;
    }
    change_root(root.as_fd())?;
    Ok(master)
}

/// The mount that is given for a bind mount.
fn next_bind(step: &MountStep, given: &mut impl Iterator<Item = OwnedFd>) -> Option<OwnedFd> {
    if matches!(step.source, Source::Bind { .. }) { given.next() } else { None }
}

/// Attaches the root file system that is given, which may be where this process cannot go, at a place that always is there
/// and that nothing needs; the change of root takes it away together with the host's tree.
fn attach_root(root: OwnedFd) -> Result<OwnedFd, Failed> {
    let what = || "attach the root file system".to_owned();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, c"/proc/fs", flags, rustix::fs::Mode::empty()).or_fail(what)?;
    attach::attach(&root, &place).or_fail(what)?;
    Ok(root)
}

/// Opens the root file system as a mount of its own, which pivot_root(2) asks for.
fn open_rootfs(plan: &Plan) -> Result<OwnedFd, Failed> {
    let path = plan.rootfs.as_c_str();
    let what = || format!("open the root file system {}", path.to_string_lossy());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, path, flags, rustix::fs::Mode::empty()).or_fail(what)?;
    let is_mount = rustix::fs::statx(&place, c"", rustix::fs::AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::empty())
        .or_fail(what)?
        .stx_attributes
        .contains(rustix::fs::StatxAttributes::MOUNT_ROOT);
    if is_mount {
        return Ok(place);
    }
    let bound = attach::copy(&place, true).or_fail(what)?;
    attach::attach(&bound, &place).or_fail(what)?;
    Ok(bound)
}

/// Makes device nodes useless on `mount` and all below it.
fn deny_devices(mount: &OwnedFd) -> std::io::Result<()> {
    exec::mount_set_attributes(mount.as_fd(), true, libc::MOUNT_ATTR_NODEV, 0, 0)
}

/// Copies the source of a bind mount whose mounts shall travel from or to the host.
fn copy_of_peer(step: &MountStep) -> Result<Option<OwnedFd>, Failed> {
    let travels = |propagation: &Propagation| propagation.flags & (libc::MS_SHARED | libc::MS_SLAVE) != 0;
    match &step.source {
        Source::Bind { path, recursive } if step.propagation.as_ref().is_some_and(travels) => {
            let what = || format!("bind {} to {}", path.to_string_lossy(), step.target.to_string_lossy());
            attach::copy_path(path, *recursive).or_fail(what).map(Some)
        }
        _ => Ok(None),
    }
}

fn set_propagation(mount: &OwnedFd, step: &MountStep) -> Result<(), Failed> {
    let Some(Propagation { flags, recursive }) = &step.propagation else { return Ok(()) };
    exec::mount_set_attributes(mount.as_fd(), *recursive, 0, 0, *flags)
        .or_fail(|| format!("set the propagation of {}", step.target.to_string_lossy()))
}

/// Copies what is at `place` to the new file system `mount`.
fn copy_up(mount: &OwnedFd, place: &OwnedFd, step: &MountStep, options: &[Setting]) -> Result<(), Failed> {
    let what = || format!("copy what is at {} into the new file system", step.target.to_string_lossy());
    let has_mode = options.iter().any(|option| option.key.as_c_str() == c"mode");
    copy_up::copy_up(place.as_fd(), mount.as_fd(), !has_mode).or_fail(what)?;
    if step.set & libc::MOUNT_ATTR_RDONLY != 0 {
        attach::make_read_only(mount, false).or_fail(what)?;
    }
    Ok(())
}

fn mount(
    root: BorrowedFd<'_>,
    step: &MountStep,
    peer: Option<OwnedFd>,
    known_devices_only: bool,
) -> Result<(), Failed> {
    let target = beneath::path(&step.target);
    let what = || format!("mount on {} of the container", step.target.to_string_lossy());
    match &step.source {
        Source::New { fstype, name, options } => {
            let later = if step.copy_up { libc::MOUNT_ATTR_RDONLY } else { 0 };
            let mount = match attach::new_file_system(fstype, name, options, step.set & !later) {
                // In a user namespace that does not own the network namespace the host's view is all there is.
                Err(failed) if fstype.as_c_str() == c"sysfs" && is_permission(&failed) => host_sysfs()?,
                other => other?,
            };
            // Kernel interfaces must be where programs look for them: an image that leads /proc elsewhere by a link
            // would make them trust files of the image, and would leave the masks off the real ones.
            let links = fstype.as_c_str() == c"tmpfs" && !step.target.to_bytes().starts_with(b"/dev");
            let place = beneath::directory(root, target, links).or_fail(what)?;
            refuse_inside_proc(&place, &step.target, fstype.as_c_str() == c"proc")?;
            // Terminals are devices, and what a fresh /dev has is made later.
            let has_devices = fstype.as_c_str() == c"devpts" || step.target.as_c_str() == c"/dev";
            if known_devices_only && !has_devices {
                deny_devices(&mount).or_fail(what)?;
            }
            if step.copy_up {
                copy_up(&mount, &place, step, options)?;
            }
            set_propagation(&mount, step)?;
            attach::attach(&mount, &place).or_fail(what)
        }
        Source::Bind { path, recursive } => {
            let source = || format!("bind {} to {}", path.to_string_lossy(), step.target.to_string_lossy());
            let mount = match peer {
                Some(copy) => copy,
                None => attach::copy_path(path, *recursive).or_fail(source)?,
            };
            set_propagation(&mount, step)?;
            if step.set != 0 || step.clear != 0 {
                exec::mount_set_attributes(mount.as_fd(), step.recursive, step.set, step.clear, 0).or_fail(source)?;
            }
            if known_devices_only {
                deny_devices(&mount).or_fail(source)?;
            }
            let place = match beneath::is_directory(&mount).or_fail(source)? {
                true => beneath::directory(root, target, true),
                false => beneath::file(root, target),
            };
            let place = place.or_fail(what)?;
            refuse_inside_proc(&place, &step.target, false)?;
            attach::attach(&mount, &place).or_fail(what)
        }
    }
}

fn is_permission(failed: &Failed) -> bool {
    failed.source.as_ref().is_some_and(|source| source.kind() == std::io::ErrorKind::PermissionDenied)
}

fn host_sysfs() -> Result<OwnedFd, Failed> {
    let what = || "bind the host's /sys read-only".to_owned();
    let mount = attach::copy_path(c"/sys", true).or_fail(what)?;
    attach::make_read_only(&mount, true).or_fail(what)?;
    Ok(mount)
}

/// Refuses places on a proc file system, where a mount would hide or fake what the kernel says.
fn refuse_inside_proc(place: &OwnedFd, target: &CStr, is_proc: bool) -> Result<(), Failed> {
    let stat = rustix::fs::fstatfs(place).or_fail(|| format!("stat {}", target.to_string_lossy()))?;
    if !is_proc && stat.f_type == rustix::fs::PROC_SUPER_MAGIC {
        return Err(Failed::because(format!(
            "{} leads into /proc, where nothing can be mounted",
            target.to_string_lossy()
        )));
    }
    Ok(())
}

fn set_sysctls(root: BorrowedFd<'_>, plan: &Plan) -> Result<(), Failed> {
    for sysctl in &plan.sysctls {
        let what = || format!("set the sysctl {}", sysctl.key.to_string_lossy());
        let file = beneath::open_without_links(root, beneath::path(&sysctl.key), OFlags::WRONLY).or_fail(what)?;
        let value = sysctl.value.as_deref().unwrap_or_default();
        rustix::io::write(&file, value.to_bytes()).or_fail(what)?;
    }
    Ok(())
}

/// Makes `path` read-only by a mount onto itself; a path that is not there needs no protection.
fn protect(root: BorrowedFd<'_>, path: &CStr) -> Result<(), Failed> {
    let what = || format!("make {} read-only", path.to_string_lossy());
    let place = match beneath::open_without_links(root, beneath::path(path), OFlags::PATH) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other.or_fail(what)?,
    };
    let mount = attach::copy(&place, true).or_fail(what)?;
    attach::make_read_only(&mount, true).or_fail(what)?;
    attach::attach(&mount, &place).or_fail(what)
}

fn change_root(root: BorrowedFd<'_>) -> Result<(), Failed> {
    let what = || "change into the root file system".to_owned();
    rustix::process::fchdir(root).or_fail(what)?;
    // With both paths the same, the old root ends up on top of the new one, to be taken off; see pivot_root(2).
    rustix::process::pivot_root(".", ".").or_fail(what)?;
    unmount(".", UnmountFlags::DETACH).or_fail(|| "leave the host's root".into())?;
    rustix::process::chdir("/").or_fail(what)
}
