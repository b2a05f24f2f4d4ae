//! What overlayfs can do on this file system, found out by mounting.

use std::{fs, path::Path};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use storage_driver::{Error, Result};
use storage_layer::overlay::XattrNamespace;
use storage_sys::{statfs, userns};

use crate::{
    MountApi, NAME, Options,
    features::{Features, Known},
    trial::Trial,
};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// fsopen(2) with `lowerdir+`.
    pub context: bool,
    pub known: Known,
    /// What a new layer's mounts do to its upper directory, as seen.
    pub features: Features,
    /// Files that are open for reading do not show later writes.
    pub stale_descriptors: bool,
    /// Sparse files are not sparse any more when they are copied up.
    pub fills_holes: bool,
    /// Marks go to `user.overlay.*`, and no device nodes can be made.
    pub in_user_namespace: bool,
    /// The file system below, for people.
    pub backing: String,
}

impl Kernel {
    pub const fn xattr_namespace(&self) -> XattrNamespace {
        if self.in_user_namespace { XattrNamespace::User } else { XattrNamespace::Trusted }
    }
}

/// Mounts a small stack below `root`, changes it, and looks at what that left in its upper.
pub fn probe(root: &Path, options: &Options) -> Result<Kernel> {
    let backing = statfs::of(root).map_err(Error::io("examine", root))?.fs_type;
    let mut kernel = Kernel { in_user_namespace: userns::is_active(), backing, ..Kernel::default() };
    let unusable = |why| Error::Unusable { driver: NAME, root: root.to_owned(), why };
    if kernel.in_user_namespace && !options.features().are_none() {
        let why =
            "redirect_dir and metacopy trust xattrs that only root outside a user namespace may set; leave them off";
        return Err(unusable(why.to_owned()));
    }
    let trial = Trial::new(root)?;
    if !trial.tells_file_types()? {
        return Err(unusable(format!(
            "{} here does not tell file types when a directory is read (d_type), so whiteouts would show; \
             for xfs: mkfs.xfs -n ftype=1",
            kernel.backing
        )));
    }
    choose_api(&trial, &mut kernel, options).map_err(|error| match error.is_no_space() {
        // That says nothing about overlayfs.
        true => error,
        false => unusable(explain(&error, &kernel)),
    })?;
    kernel.features = trial.features(&kernel)?;
    kernel.stale_descriptors = trial.open_descriptors_go_stale()?;
    kernel.fills_holes = trial.copy_up_fills_holes()?;
    let not_there = |what: &str| unusable(format!("{what} left no mark on {}; choose another --root", kernel.backing));
    if !trial.deletion_leaves_a_whiteout()? {
        return Err(not_there("deleting a file through a mount"));
    }
    if !trial.remaking_leaves_an_opaque_directory(&kernel)? {
        return Err(not_there("remaking a directory through a mount (it takes an xattr)"));
    }
    let asked = options.features();
    let without_effect = |name| unusable(format!("{name}=on has no effect with this kernel on {}", kernel.backing));
    if asked.redirect_dir && !kernel.features.redirect_dir {
        return Err(without_effect("redirect_dir"));
    }
    if options.volatile && !kernel.known.volatile {
        return Err(unusable(
            "this kernel's overlayfs does not know volatile=on (Linux 5.10); leave it off".to_owned(),
        ));
    }
    if asked.metacopy && !kernel.features.metacopy {
        return Err(without_effect("metacopy"));
    }
    Ok(kernel)
}

/// Finds the newest way to mount that works, and leaves the trial mounted by it.
fn choose_api(trial: &Trial, kernel: &mut Kernel, options: &Options) -> Result<()> {
    kernel.context = options.mount_api != MountApi::Legacy;
    let first = choose_options(trial, kernel, options);
    if first.is_ok() || options.mount_api != MountApi::Auto {
        return first;
    }
    // No fsopen(2), or an overlayfs that does not know `lowerdir+`: either fails as if something else were wrong.
    // Where the old call fails as well, the new one's answer says more.
    kernel.context = false;
    choose_options(trial, kernel, options).or(first)
}

/// Says as much as the kernel lets one say: an unknown option fails the mount with the same errno as a bad path.
fn choose_options(trial: &Trial, kernel: &mut Kernel, options: &Options) -> Result<()> {
    kernel.known = Known::ALL;
    let Err(refused) = trial.mount(kernel, options) else { return Ok(()) };
    kernel.known = Known::default();
    if trial.mount(kernel, options).is_err() {
        return Err(refused);
    }
    let mut all = Known::default();
    for (one, found) in [
        (Known { index: true, ..Known::default() }, &mut all.index),
        (Known { redirect_dir: true, ..Known::default() }, &mut all.redirect_dir),
        (Known { metacopy: true, ..Known::default() }, &mut all.metacopy),
        (Known { volatile: true, ..Known::default() }, &mut all.volatile),
    ] {
        kernel.known = one;
        *found = trial.mount(kernel, options).is_ok();
    }
    kernel.known = all;
    trial.mount(kernel, options)
}

/// What the module does when a mount does not say; for the record, since every mount of ours says.
pub fn module_default(parameter: &str) -> String {
    let path = Path::new("/sys/module/overlay/parameters").join(parameter);
    match fs::read_to_string(path).as_deref().map(str::trim) {
        Ok("Y") => "on".to_owned(),
        Ok("N") => "off".to_owned(),
        Ok(other) => other.to_owned(),
        Err(_) => "unknown".to_owned(),
    }
}

fn explain(error: &Error, kernel: &Kernel) -> String {
    let source = match error {
        Error::Io { source, .. } | Error::Kernel { source, .. } => source,
        _ => return error.to_string(),
    };
    let remedy = match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NODEV) => {
            "this kernel has no overlayfs; try `modprobe overlay` (CONFIG_OVERLAY_FS), or use --driver vfs".to_owned()
        }
        Some(Errno::NOSYS) => "this kernel has no fsopen(2); use mount_api=legacy".to_owned(),
        Some(Errno::INVAL) if kernel.context => {
            "this kernel's overlayfs may be too old for lowerdir+ (Linux 6.8); use mount_api=legacy".to_owned()
        }
        Some(Errno::PERM | Errno::ACCESS) => {
            "mounting needs root, or a user namespace of a kernel since 5.11".to_owned()
        }
        _ => format!(
            "is {} a file system that overlayfs can write on? choose another --root (ext4, xfs, btrfs, tmpfs), or use \
             --driver vfs",
            kernel.backing
        ),
    };
    format!("a trial mount failed ({error}); {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_remedy() {
        let kernel = Kernel { backing: "fuseblk".to_owned(), ..Kernel::default() };
        let said = |errno: Errno| explain(&Error::io("mount", "/x")(errno), &kernel);
        assert!(said(Errno::NODEV).contains("modprobe overlay"));
        assert!(said(Errno::NOSYS).contains("mount_api=legacy"));
        assert!(said(Errno::PERM).contains("user namespace"));
        assert!(said(Errno::INVAL).contains("fuseblk"));
    }
}
