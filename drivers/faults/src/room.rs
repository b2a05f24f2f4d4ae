//! Where trials are made: a directory of the matrix's own, in memory unless said otherwise.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::fs::XattrFlags;
use rustix::mount::{MountFlags, mount};
use storage_sys::{mount as mounts, mountinfo};

use crate::{Disk, Error, Ground, Result, devices, disk::Plugged};

/// How large the disk of a room is, at least; in memory it takes what is written.
const SIZE: u64 = 1 << 30;

/// The directory; taken away with all that is mounted in it when this is dropped.
#[derive(Debug)]
pub struct Room {
    dir: Option<tempfile::TempDir>,
    base: PathBuf,
    path: PathBuf,
    disk: Option<Plugged>,
}

impl Room {
    /// Makes it on the ground that a driver asks for.
    pub fn make(ground: &Ground) -> Result<Self> {
        let above = if let Ground::Below(above) = ground { above.clone() } else { std::env::temp_dir() };
        let dir =
            tempfile::Builder::new().prefix("faults-").tempdir_in(&above).map_err(Error::io("write in", &above))?;
        let base = fs::canonicalize(dir.path()).map_err(Error::io("open", dir.path()))?;
        let mut room = Self { dir: Some(dir), path: base.clone(), base, disk: None };
        if !matches!(ground, Ground::Below(_)) {
            mount("faults", &room.base, "tmpfs", MountFlags::NOATIME, c"mode=0755")
                .map_err(Error::io("mount a tmpfs on", &room.base))?;
            mounts::make_private(&room.base).map_err(Error::io("make private", &room.base))?;
        }
        let ground = match ground {
            Ground::Memory if !has_user_xattrs(&room.base) => Ground::Disk(Disk::EXT4),
            ground => ground.clone(),
        };
        if let Ground::Disk(disk) = &ground {
            let disk = Disk { size: disk.size.max(SIZE), ..disk.clone() };
            let image = room.base.join("image");
            room.path = room.base.join("disk");
            disk.make(&image)?;
            room.disk = Some(Plugged::plug(&disk, &image, &room.path)?);
        }
        Ok(room)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.disk.is_some() {
            sweep_below(&self.path);
        }
        self.disk.take();
        sweep(&self.base);
        if let Some(dir) = self.dir.take()
            && let Err(error) = dir.close()
        {
            tracing::warn!(path = %self.base.display(), %error, "the room of the fault trials stays");
        }
    }
}

/// What layers hold has such attributes; a tmpfs has them since Linux 6.6.
fn has_user_xattrs(dir: &Path) -> bool {
    let name = "user.faults";
    rustix::fs::setxattr(dir, name, b"", XattrFlags::empty()).is_ok() && rustix::fs::removexattr(dir, name).is_ok()
}

/// Detaches everything that is mounted below `path`, but not what is on it.
fn sweep_below(path: &Path) {
    detach(path, |point| point != path);
}

/// Detaches everything that is mounted at or below `path`, inner mounts first, and takes away the devices that stand on
/// files there.
pub fn sweep(path: &Path) {
    // The files' names end with the mounts.
    let stood_on = devices::loops_below(path);
    detach(path, |_| true);
    devices::take_away(&stood_on);
}

fn detach(path: &Path, which: impl Fn(&Path) -> bool) {
    let Ok(mut found) = mountinfo::below(path) else { return };
    found.sort_by(|a, b| b.mount_point.cmp(&a.mount_point));
    for mount in found.into_iter().filter(|mount| which(&mount.mount_point)) {
        if let Err(error) = mounts::detach(&mount.mount_point) {
            tracing::warn!(path = %mount.mount_point.display(), %error, "cannot detach what a trial left mounted");
        }
    }
}
