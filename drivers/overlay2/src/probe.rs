//! What overlayfs can do on this file system, found out by mounting.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, RawDir};
use storage_driver::{Error, Result};
use storage_layer::overlay::XattrNamespace;
use storage_root::delete_tree;
use storage_sys::{mount, mountinfo, userns};

use crate::{
    MountApi, NAME, Options,
    features::{Features, mount_options},
    mounting::{Dir, Stack},
};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// fsopen(2) with `lowerdir+`.
    pub context: bool,
    pub knows_index: bool,
    pub knows_redirect_dir: bool,
    pub knows_metacopy: bool,
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

/// Mounts a small stack below `root` and looks at what a deletion leaves in its upper.
pub fn probe(root: &Path, options: &Options) -> Result<Kernel> {
    let backing = mountinfo::holding(root)
        .map_err(Error::io("read", "/proc/self/mountinfo"))?
        .map_or_else(|| "unknown".to_owned(), |mount| mount.fs_type);
    let known = |name: &str| Path::new("/sys/module/overlay/parameters").join(name).exists();
    let mut kernel = Kernel {
        context: options.mount_api != MountApi::Legacy,
        knows_index: known("index"),
        knows_redirect_dir: known("redirect_dir"),
        knows_metacopy: known("metacopy"),
        in_user_namespace: userns::is_active(),
        backing,
    };
    let trial = Trial::new(root)?;
    let unusable = |why| Error::Unusable { driver: NAME, root: root.to_owned(), why };
    if !trial.tells_file_types()? {
        return Err(unusable(format!(
            "{} here does not tell file types when a directory is read (d_type), so whiteouts would show; \
             for xfs: mkfs.xfs -n ftype=1",
            kernel.backing
        )));
    }
    if kernel.context {
        match trial.mount(&kernel, options) {
            Ok(()) => {}
            Err(error) if options.mount_api == MountApi::New => return Err(unusable(explain(&error, &kernel))),
            // No fsopen, or an overlayfs that does not know `lowerdir+`.
            Err(_) => kernel.context = false,
        }
    }
    if !kernel.context {
        trial.mount(&kernel, options).map_err(|error| unusable(explain(&error, &kernel)))?;
    }
    if !trial.deletion_leaves_a_whiteout()? {
        return Err(unusable(format!("deleting a file through a mount left no whiteout on {}", kernel.backing)));
    }
    Ok(kernel)
}

fn explain(error: &Error, kernel: &Kernel) -> String {
    let source = match error {
        Error::Io { source, .. } | Error::Kernel { source, .. } => source,
        _ => return error.to_string(),
    };
    let remedy = match source.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NODEV) => {
            "this kernel has no overlayfs; try `modprobe overlay` (CONFIG_OVERLAY_FS), or use --driver vfs".to_owned()
        }
        Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => {
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

/// A stack of two layers in a directory of its own, gone when dropped.
#[derive(Debug)]
struct Trial {
    dir: PathBuf,
}

impl Trial {
    fn new(root: &Path) -> Result<Self> {
        let dir = root.join("staging").join(".probe");
        delete_tree(&dir)?;
        let trial = Self { dir };
        for part in ["lower/diff", "upper/diff", "upper/work", "merged"] {
            let path = trial.dir.join(part);
            fs::create_dir_all(&path).map_err(Error::io("create", path))?;
        }
        let victim = trial.dir.join("lower/diff/victim");
        fs::write(&victim, b"").map_err(Error::io("create", victim))?;
        for link in ["lower", "upper"] {
            let path = trial.dir.join("l").join(link);
            fs::create_dir_all(trial.dir.join("l")).map_err(Error::io("create", &path))?;
            std::os::unix::fs::symlink(format!("../{link}/diff"), &path).map_err(Error::io("link", path))?;
        }
        Ok(trial)
    }

    /// readdir(3): a file system that does not know says `DT_UNKNOWN`.
    fn tells_file_types(&self) -> Result<bool> {
        let path = self.dir.join("lower/diff");
        let read = || -> io::Result<bool> {
            let dir = rustix::fs::openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            let mut buffer = Vec::with_capacity(1024);
            let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                let entry = entry?;
                if entry.file_name() == c"victim" {
                    return Ok(entry.file_type() == rustix::fs::FileType::RegularFile);
                }
            }
            Ok(false)
        };
        read().map_err(Error::io("read", &path))
    }

    fn mount(&self, kernel: &Kernel, options: &Options) -> Result<()> {
        let dir = |name| Dir { diff: self.dir.join(name).join("diff"), link: name };
        let features = [Features::of_new_layer(options, None), Features::default()];
        let stack = Stack {
            lowers: vec![dir("lower")],
            upper: Some(dir("upper")),
            options: mount_options(&features, true, options, kernel),
        };
        let merged = self.dir.join("merged");
        if kernel.context { stack.mount_by_context(&merged) } else { stack.mount_by_page(&self.dir.join("l"), &merged) }
    }

    fn deletion_leaves_a_whiteout(&self) -> Result<bool> {
        let shown = self.dir.join("merged/victim");
        fs::remove_file(&shown).map_err(Error::io("remove", shown))?;
        let left = self.dir.join("upper/diff/victim");
        match fs::symlink_metadata(&left) {
            // Newer kernels may write a regular file with an xattr instead of the device.
            Ok(found) => Ok(found.file_type().is_char_device() || found.is_file()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("look at", left)(error)),
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = mount::detach(&self.dir.join("merged"));
        if let Err(error) = delete_tree(&self.dir) {
            tracing::warn!(%error, "the trial mount's directory stays until the next opening");
        }
    }
}
