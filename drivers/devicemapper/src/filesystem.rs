//! The file systems in layers: made once, cloned by the block.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use rustix::mount::MountAttrFlags;
use serde::{Deserialize, Serialize};
use storage_driver::{Bytes, Error, Result};
use storage_sys::{
    fsroom,
    mount::{FsContext, FsContextError},
};

use crate::{ext4, record::Held};

/// What can be in a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fs {
    /// ext4.
    #[default]
    Ext4,
    /// xfs.
    Xfs,
}

/// How a layer's file system is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It changes.
    Write,
    /// Nobody writes this time; a journal that a crash left is still replayed.
    Look,
    /// Nobody ever writes again: the device itself refuses.
    Sealed,
}

impl Fs {
    /// The name in /proc/filesystems.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Ext4 => ("mkfs.ext4", "e2fsprogs"),
            Self::Xfs => ("mkfs.xfs", "xfsprogs"),
        }
    }

    /// Everything that is written later on is copied once for every layer: a small journal, no tables that are filled
    /// in the background, nothing reserved for root.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &[
                "-q",
                "-F",
                "-b",
                "4096",
                "-m",
                "0",
                "-i",
                "16384",
                "-J",
                "size=16",
                "-E",
                "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
            ],
            Self::Xfs => &["-q", "-f", "-K"],
        }
    }

    /// Where the program is that makes it; /usr/sbin is not in everybody's PATH. The error names the package.
    pub(crate) fn find_mkfs(self) -> Result<PathBuf, String> {
        let (program, package) = self.program();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        let found = dirs.map(|dir| dir.join(program)).find(|path| path.is_file());
        found.ok_or_else(|| format!("{program} is missing: install {package}"))
    }

    pub(crate) fn make(self, node: &Path) -> Result<()> {
        let program = self.find_mkfs().map_err(|why| Error::io("format", node)(io::Error::other(why)))?;
        let output = Command::new(&program)
            .args(self.arguments())
            .arg(node)
            .stdin(Stdio::null())
            .output()
            .map_err(Error::io("run", &program))?;
        if output.status.success() {
            return Ok(());
        }
        let log = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        let source = io::Error::other(output.status.to_string());
        Err(Error::Kernel { op: "format", path: node.to_owned(), log: format!("{}: {log}", program.display()), source })
    }

    pub(crate) fn mount(self, node: &Path, target: &Path, access: Access, discard: bool) -> Result<()> {
        let read_only = access != Access::Write;
        let refused = |error: FsContextError| {
            let log = if error.log.is_empty() { "see the kernel's log".to_owned() } else { error.log };
            let (path, source) = (target.to_owned(), error.source);
            Error::Kernel { op: "mount", path, log: format!("{} {}: {log}", self.name(), error.step), source }
        };
        match self.try_mount(node, target, access, discard, read_only) {
            // Somebody still has a file of it open since it was mounted for writing, so it is writable, and only this
            // mount can be read-only.
            Err(error) if read_only && error.source.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                self.try_mount(node, target, Access::Write, discard, true).map_err(refused)
            }
            answer => answer.map_err(refused),
        }
    }

    fn try_mount(
        self,
        node: &Path,
        target: &Path,
        access: Access,
        discard: bool,
        read_only: bool,
    ) -> Result<(), FsContextError> {
        let new = FsContext::new(self.name());
        let context = new.map_err(|source| FsContextError { step: "open".to_owned(), log: String::new(), source })?;
        context.set("source", node)?;
        if access != Access::Write {
            context.set_flag("ro")?;
        }
        match self {
            // Clones have one UUID, which xfs does not mount twice.
            Self::Xfs => context.set_flag("nouuid")?,
            // Tables that were never written read as zeros; filling them would only take blocks.
            Self::Ext4 => {
                context.set_flag("noinit_itable")?;
                context.set("errors", "remount-ro")?;
            }
        }
        if self == Self::Xfs && access == Access::Sealed {
            // It was unmounted or frozen; a frozen one still has a record in its log, which the device would not take.
            context.set_flag("norecovery")?;
        }
        if discard && access == Access::Write {
            context.set_flag("discard")?;
        }
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NOATIME;
        attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
        context.mount_at(target, attributes)
    }

    /// Lets the file system that `mounted` is on fill its device, holds all but `limit` of it back, and has it fail at
    /// once where the pool is full.
    pub(crate) fn prepare(self, mounted: &Path, device: &str, size: Option<Bytes>, limit: Option<Bytes>) -> Result<()> {
        let inside = File::open(mounted).map_err(Error::io("open", mounted))?;
        if let Some(size) = size {
            let grown = match self {
                Self::Ext4 => fsroom::grow_ext4(&inside, size.get() / 4096),
                Self::Xfs => fsroom::grow_xfs(&inside, size.get()),
            };
            grown.map_err(Error::io("grow the file system of", mounted))?;
        }
        if self == Self::Xfs {
            never_retry(device);
        }
        let Some(limit) = limit else { return Ok(()) };
        let found = rustix::fs::fstatvfs(&inside).map_err(Error::io("examine", mounted))?;
        let used = (found.f_blocks - found.f_bfree) * found.f_frsize;
        let back = found.f_bfree.saturating_sub(limit.get().saturating_sub(used) / found.f_frsize.max(1));
        let held_back = match self {
            // In ext4's words clusters that are kept for emergencies; unlike those for root, nobody gets them
            // (kernel: Documentation/ABI/testing/sysfs-fs-ext4).
            Self::Ext4 => fs::write(format!("/sys/fs/ext4/{device}/reserved_clusters"), back.to_string()),
            Self::Xfs => fsroom::reserve_xfs(&inside, back),
        };
        held_back.map_err(Error::io("limit the size of", mounted))
    }

    /// Fails unless the file system on `node`, not mounted any more, has got what was written to it. xfs that gives up says so when it is
    /// synced.
    pub(crate) fn check_unmounted(self, node: &Path) -> Result<()> {
        let whole = match self {
            Self::Ext4 => ext4::was_unmounted_whole(node).map_err(Error::io("read", node))?,
            Self::Xfs => true,
        };
        let gave_up =
            || io::Error::other("its file system gave up before everything was written; the kernel's log says why");
        if whole { Ok(()) } else { Err(Error::io("write to", node)(gave_up())) }
    }
}

/// xfs writes metadata again and again until there is room; whoever waits for it, an unmount for one, waits for ever
/// (kernel: Documentation/admin-guide/xfs.rst, "Error handling").
fn never_retry(device: &str) {
    for error in ["ENOSPC", "EIO"] {
        let file = format!("/sys/fs/xfs/{device}/error/metadata/{error}/max_retries");
        if let Err(error) = fs::write(&file, "0") {
            tracing::warn!(file, %error, "a full pool may make this file system wait for ever");
        }
    }
}

/// What a mounted file system holds.
pub fn held(mounted: &Path) -> Result<Held> {
    let found = rustix::fs::statvfs(mounted).map_err(Error::io("examine", mounted))?;
    let bytes = Bytes((found.f_blocks - found.f_bfree).saturating_mul(found.f_frsize));
    Ok(Held { bytes, inodes: found.f_files.saturating_sub(found.f_ffree) })
}

/// Everything written is on the device, or this fails: unmounting would not tell.
pub fn sync(mounted: &Path) -> Result<()> {
    let inside = File::open(mounted).map_err(Error::io("open", mounted))?;
    rustix::fs::syncfs(&inside).map_err(Error::io("sync", mounted))
}

impl fmt::Display for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ext4" => Ok(Self::Ext4),
            "xfs" => Ok(Self::Xfs),
            _ => Err(format!("option fs takes ext4 or xfs, not {text:?}")),
        }
    }
}
