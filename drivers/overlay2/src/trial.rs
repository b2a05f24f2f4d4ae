//! A small stack to try things on.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{FileExt, FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, RawDir, SeekFrom, lgetxattr, openat, seek},
    io::Errno,
};
use storage_driver::{Error, Result};
use storage_root::delete_tree;
use storage_sys::mount;

use crate::{
    Options,
    features::{Features, mount_options},
    mounting::{Dir, Stack},
    probe::Kernel,
};

/// How far apart the two ends of a sparse file are: far less than the kernel copies up at once.
const SPARSE_SIZE: u64 = 128 * 1024;

/// A stack of two layers in a directory of its own, gone when dropped.
#[derive(Debug)]
pub struct Trial {
    dir: PathBuf,
}

impl Trial {
    pub fn new(root: &Path) -> Result<Self> {
        let dir = root.join("staging").join(".probe");
        delete_tree(&dir)?;
        let trial = Self { dir };
        for part in ["lower/diff/remade", "lower/diff/renamed", "upper/diff", "upper/work", "merged", "l"] {
            let path = trial.dir.join(part);
            fs::create_dir_all(&path).map_err(Error::io("create", path))?;
        }
        for file in ["deleted", "changed", "written"] {
            let path = trial.dir.join("lower/diff").join(file);
            fs::write(&path, b"content").map_err(Error::io("write", path))?;
        }
        let sparse = trial.dir.join("lower/diff/sparse");
        let make = || {
            let file = fs::File::create(&sparse)?;
            file.write_all_at(b"start", 0)?;
            file.write_all_at(b"end", SPARSE_SIZE)
        };
        make().map_err(Error::io("write", &sparse))?;
        for link in ["lower", "upper"] {
            let path = trial.dir.join("l").join(link);
            std::os::unix::fs::symlink(format!("../{link}/diff"), &path).map_err(Error::io("link", path))?;
        }
        Ok(trial)
    }

    fn shown(&self, name: &str) -> PathBuf {
        self.dir.join("merged").join(name)
    }

    fn left(&self, name: &str) -> PathBuf {
        self.dir.join("upper/diff").join(name)
    }

    /// readdir(3): a file system that does not know says `DT_UNKNOWN`.
    pub fn tells_file_types(&self) -> Result<bool> {
        let path = self.dir.join("lower/diff");
        let read = || -> io::Result<bool> {
            let dir = openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            let mut buffer = Vec::with_capacity(1024);
            let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                let entry = entry?;
                if entry.file_name() == c"deleted" {
                    return Ok(entry.file_type() == FileType::RegularFile);
                }
            }
            Ok(false)
        };
        read().map_err(Error::io("read", &path))
    }

    /// Mounts as layers will be, in place of an earlier mount.
    pub fn mount(&self, kernel: &Kernel, options: &Options) -> Result<()> {
        let merged = self.dir.join("merged");
        _ = mount::detach(&merged);
        // Volatile mounts leave a mark that fails the next one.
        delete_tree(&self.dir.join("upper/work"))?;
        fs::create_dir(self.dir.join("upper/work")).map_err(Error::io("create", &self.dir))?;
        let dir = |name| Dir { diff: self.dir.join(name).join("diff"), link: name };
        let features = [options.features(), Features::default()];
        let stack = Stack {
            lowers: vec![dir("lower")],
            upper: Some(dir("upper")),
            options: mount_options(&features, true, true, kernel),
        };
        if kernel.context { stack.mount_by_context(&merged) } else { stack.mount_by_page(&self.dir.join("l"), &merged) }
    }

    pub fn deletion_leaves_a_whiteout(&self) -> Result<bool> {
        let shown = self.shown("deleted");
        fs::remove_file(&shown).map_err(Error::io("remove", shown))?;
        let left = self.left("deleted");
        match fs::symlink_metadata(&left) {
            Ok(found) => Ok(found.file_type().is_char_device()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("examine", left)(error)),
        }
    }

    pub fn remaking_leaves_an_opaque_directory(&self, kernel: &Kernel) -> Result<bool> {
        let shown = self.shown("remade");
        fs::remove_dir(&shown).and_then(|()| fs::create_dir(&shown)).map_err(Error::io("remake", shown))?;
        self.has_mark("remade", "opaque", kernel)
    }

    /// What a rename of a lower directory and a change of a lower file's mode do.
    pub fn features(&self, kernel: &Kernel) -> Result<Features> {
        let (old, new) = (self.shown("renamed"), self.shown("new-name"));
        match fs::rename(&old, new) {
            Err(error) if error.kind() != io::ErrorKind::CrossesDevices => return Err(Error::io("rename", old)(error)),
            _ => {}
        }
        let changed = self.shown("changed");
        fs::set_permissions(&changed, fs::Permissions::from_mode(0o600)).map_err(Error::io("chmod", changed))?;
        Ok(Features {
            redirect_dir: self.has_mark("new-name", "redirect", kernel)?,
            metacopy: self.has_mark("changed", "metacopy", kernel)?,
        })
    }

    /// Before Linux 4.19 a descriptor that was opened before the first write stays with the lower file.
    pub fn open_descriptors_go_stale(&self) -> Result<bool> {
        let shown = self.shown("written");
        let look = || -> io::Result<bool> {
            let mut before = fs::File::open(&shown)?;
            fs::write(&shown, b"changed")?;
            let mut seen = Vec::new();
            before.read_to_end(&mut seen)?;
            Ok(seen != b"changed")
        };
        look().map_err(Error::io("write", &shown))
    }

    pub fn copy_up_fills_holes(&self) -> Result<bool> {
        let (lower, shown, upper) = (self.dir.join("lower/diff/sparse"), self.shown("sparse"), self.left("sparse"));
        let look = || -> io::Result<bool> {
            fs::OpenOptions::new().append(true).open(&shown)?.write_all(b"more")?;
            Ok(has_its_hole(&lower)? && !has_its_hole(&upper)?)
        };
        look().map_err(Error::io("write", &shown))
    }

    fn has_mark(&self, name: &str, mark: &str, kernel: &Kernel) -> Result<bool> {
        let namespace = if kernel.in_user_namespace { "user" } else { "trusted" };
        let left = self.left(name);
        match lgetxattr(&left, format!("{namespace}.overlay.{mark}"), &mut [0; 256]) {
            Ok(_) => Ok(true),
            Err(Errno::NODATA | Errno::NOENT | Errno::NOTSUP) => Ok(false),
            Err(error) => Err(Error::io("read the xattrs of", left)(error)),
        }
    }
}

fn has_its_hole(path: &Path) -> io::Result<bool> {
    Ok(seek(fs::File::open(path)?, SeekFrom::Hole(0))? < SPARSE_SIZE)
}

impl Drop for Trial {
    fn drop(&mut self) {
        _ = mount::detach(&self.dir.join("merged"));
        if let Err(error) = delete_tree(&self.dir) {
            tracing::warn!(%error, "the trial mount's directory stays until the next opening");
        }
    }
}
