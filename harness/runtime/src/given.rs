//! Mounts that the parent makes for the init: in a user namespace the init may neither go where their sources are nor give
//! their files other owners.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::CWD,
    mount::{OpenTreeFlags, open_tree},
};

use crate::{
    Error, Result, exec,
    plan::{Mapping, Plan, Source},
};

/// A copy of the mount of the root file system, and of each bind mount of the plan; none where the init makes them.
pub(crate) fn mounts(plan: &Plan, users: Option<&Mapping>, map_root: bool) -> Result<Vec<OwnedFd>> {
    if users.is_none() && plan.mounts.iter().all(|step| step.mapping.is_none()) {
        return Ok(Vec::new());
    }
    let mut given = vec![copy(&plan.rootfs, true, users.filter(|_| map_root))?];
    for step in &plan.mounts {
        if let Source::Bind { path, recursive } = &step.source {
            given.push(copy(path, *recursive, step.mapping.as_ref())?);
        }
    }
    Ok(given)
}

fn copy(path: &std::ffi::CStr, recursive: bool, mapping: Option<&Mapping>) -> Result<OwnedFd> {
    let shown = || path.to_string_lossy().into_owned();
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let flags = if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags };
    let copy = open_tree(CWD, path, flags).map_err(Error::io(format!("bind {}", shown())))?;
    if let Some(mapping) = mapping {
        let users = exec::user_namespace(&mapping.into()).map_err(Error::io("make a user namespace"))?;
        exec::map_owners(copy.as_fd(), mapping.recursive, users.as_fd()).map_err(|error| {
            let unable = error.raw_os_error() == Some(libc::EINVAL);
            let hint = if unable { " (its file system cannot: overlayfs is one of those)" } else { "" };
            Error::io(format!("give the files of {} other owners{hint}", shown()))(error)
        })?;
    }
    Ok(copy)
}
