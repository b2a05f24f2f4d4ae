//! Small disks: an image file with a file system on it, on a loop device.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::mount::{MountFlags, mount};
use storage_sys::{loopdev::LoopDevice, mount as mounts};

use crate::{Disk, Error, Result};

impl Disk {
    /// Makes the image file, with its file system.
    pub(crate) fn make(&self, image: &Path) -> Result<()> {
        let file = fs::File::create_new(image).map_err(Error::io("create", image))?;
        file.set_len(self.size).map_err(Error::io("grow", image))?;
        let (program, arguments) = self.mkfs.split_first().unwrap_or((&"mkfs", &[]));
        let failed = |said: String| Error::Program { program: (*program).to_owned(), said, package: self.package };
        let output = Command::new(program).args(arguments).arg(image).output();
        let output = output.map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }

    /// Lets the kernel forget disks that are gone: btrfs knows its file systems by an id that their copies share, and
    /// would take a copy for the disk that it has seen before.
    pub(crate) fn forget(&self) {
        if self.fs_type == "btrfs"
            && let Err(error) = Command::new("btrfs").args(["device", "scan", "--forget"]).output()
        {
            tracing::warn!(%error, "btrfs cannot be told to forget a disk that is gone");
        }
    }
}

/// A copy of an image that keeps its holes.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    Ok(storage_layer::copy::file(from, to, &storage_layer::copy::CopyOptions::default()).map(drop)?)
}

/// A mounted disk; unmounted and detached when this is dropped.
#[derive(Debug)]
pub struct Plugged {
    device: Option<LoopDevice>,
    at: PathBuf,
}

impl Plugged {
    /// Mounts the disk in `file` on the directory `at`, which is made.
    pub fn plug(disk: &Disk, file: &Path, at: &Path) -> Result<Self> {
        disk.forget();
        fs::create_dir(at).map_err(Error::io("create", at))?;
        let device = LoopDevice::attach(file).map_err(Error::io("attach to a loop device", file))?;
        mount(device.path(), at, disk.fs_type, MountFlags::NOATIME, None).map_err(Error::io("mount a disk on", at))?;
        mounts::make_private(at).map_err(Error::io("make private", at))?;
        Ok(Self { device: Some(device), at: at.to_owned() })
    }

    /// Takes it out, everything written.
    pub fn unplug(mut self) -> Result<()> {
        mounts::unmount_idle(&self.at).map_err(Error::io("unmount", &self.at))?;
        match self.device.take() {
            Some(device) => device.detach().map_err(Error::io("detach the disk of", &self.at)),
            None => Ok(()),
        }
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        if self.device.take().is_some_and(|device| {
            _ = mounts::detach(&self.at);
            device.detach().is_err()
        }) {
            tracing::warn!(path = %self.at.display(), "a disk stays attached to its loop device");
        }
    }
}
