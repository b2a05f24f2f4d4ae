use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use storage_sys::{
    block::{self, BlockStat},
    btrfs,
    loopdev::LoopDevice,
    mount::detach,
    mountinfo,
};

use crate::{
    Description, Error, FileSystem, Result, Spec, device,
    gc::{ELSEWHERE, lock, remove_devices},
    mkfs, mounting,
};

/// Where testbeds are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Holds a directory a testbed.
    pub base: PathBuf,
    /// Tells it from others: run and driver.
    pub name: String,
    /// Leave it behind, to look at.
    pub keep: bool,
}

/// The name in a testbed's directory of the file that is locked while its program lives.
pub(crate) const OWNER: &str = "owner";
pub(crate) const MOUNT_POINT: &str = "mnt";
const IMAGE: &str = "image";
const MEMORY: &str = "memory";
/// All testbeds' directories start so.
pub(crate) const PREFIX: &str = "harness-";

/// A place for one driver's data; everything goes with it.
#[derive(Debug)]
pub struct Testbed {
    path: PathBuf,
    description: Description,
    counters: Option<PathBuf>,
    device: Option<PathBuf>,
    own: Option<Own>,
}

/// What has to be taken away.
#[derive(Debug)]
struct Own {
    dir: PathBuf,
    /// In the order in which they are to go.
    mounted: Option<PathBuf>,
    device: Option<LoopDevice>,
    memory: Option<PathBuf>,
    owner: Option<File>,
    /// In the base, where `gc` looks, for a testbed that is in another directory.
    link: Option<PathBuf>,
    keep: bool,
}

/// Whether this process can make loop testbeds of this kind; the error says why not.
///
/// # Errors
/// [`Error::NotRoot`], [`Error::NoMkfs`], [`Error::Io`] when the kernel has no loop devices.
pub fn loop_is_possible(file_system: FileSystem) -> Result<()> {
    if !is_root() {
        return Err(Error::NotRoot);
    }
    let control = Path::new("/dev/loop-control");
    fs::metadata(control).map_err(Error::io("open", control))?;
    mkfs::find(file_system).map(|_| ())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root() && !storage_sys::userns::is_active()
}

impl Testbed {
    /// Makes a testbed.
    ///
    /// # Errors
    /// What is missing, with the remedy; nothing is left then.
    pub fn open(spec: &Spec, options: &Options) -> Result<Self> {
        let spec = &spec.clone().or_on(FileSystem::default());
        match spec {
            Spec::Dir(path) => Self::directory(spec, path, options),
            Spec::Loop { file_system, size, quota, memory } => {
                let file_system = file_system.unwrap_or_default();
                Self::on_loop(spec, file_system, *size, *quota, *memory, options)
            }
            Spec::Dev { path, file_system, quota, force } => {
                let file_system = &file_system.unwrap_or_default();
                if !is_root() {
                    return Err(Error::NotRoot);
                }
                mkfs::find(*file_system)?;
                let size = device::check(path, *force)?;
                let own = Own::make(options)?;
                let made = mkfs::make(*file_system, *quota, path)?;
                let description = Description { device_size: Some(size), ..Description::default() };
                own.mount(spec, path, *file_system, *quota, made, description)
            }
        }
    }

    fn on_loop(
        spec: &Spec,
        file_system: FileSystem,
        size: u64,
        quota: bool,
        memory: bool,
        options: &Options,
    ) -> Result<Self> {
        loop_is_possible(file_system)?;
        let mut own = Own::make(options)?;
        let dir = if memory { own.memory(size)? } else { own.dir.clone() };
        needs(&dir, size)?;
        let image = dir.join(IMAGE);
        let file = File::create(&image).map_err(Error::io("create", &image))?;
        file.set_len(size).map_err(Error::io("size", &image))?;
        drop(file);
        // mkfs writes the file itself: quicker than through the device, and none of it counts.
        let made = mkfs::make(file_system, quota, &image)?;
        let device = LoopDevice::attach(&image).map_err(Error::io("attach a loop device to", &image))?;
        let path = device.path().to_owned();
        let direct_io = Some(device.direct_io());
        own.device = Some(device);
        block::forbid_merges(&path).map_err(Error::io("switch off merging on", &path))?;
        let backing = storage_sys::statfs::of(&dir).ok().map(|found| found.fs_type);
        let description = Description { device_size: Some(size), direct_io, backing, ..Description::default() };
        own.mount(spec, &path, file_system, quota, made, description)
    }

    fn directory(spec: &Spec, path: &Path, options: &Options) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let own = Own::elsewhere(&fs::canonicalize(path).map_err(Error::io("open", path))?, options)?;
        let holding = mountinfo::holding(&own.dir).map_err(Error::io("read", "/proc/self/mountinfo"))?;
        let description = Description {
            testbed: spec.to_string(),
            file_system: holding.as_ref().map_or_else(String::new, |mount| mount.fs_type.clone()),
            mount_options: holding.map_or_else(String::new, |mount| mount.options),
            ..Description::default()
        };
        let path = own.dir.join("data");
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        Ok(Self { path, description, counters: None, device: None, own: Some(own) })
    }

    /// The directory for the driver's data.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The block device that is the driver's own, where the testbed is raw.
    #[must_use]
    pub fn device(&self) -> Option<&Path> {
        self.device.as_deref()
    }

    /// What it is, for the record.
    #[must_use]
    pub const fn describe(&self) -> &Description {
        &self.description
    }

    /// Syncs, and reads what the device did so far; `None` for a directory, whose device others use too.
    ///
    /// # Errors
    /// When syncing fails, as it does on a broken device.
    pub fn counters(&self) -> Result<Option<BlockStat>> {
        let Some(stat) = &self.counters else { return Ok(None) };
        if self.device.is_some() {
            // Which file systems the driver has made on it is not known here.
            rustix::fs::sync();
            return block::read(stat).map(Some).map_err(Error::io("read", stat));
        }
        let dir = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        rustix::fs::syncfs(&dir).map_err(Error::io("sync", &self.path))?;
        block::read(stat).map(Some).map_err(Error::io("read", stat))
    }

    /// Takes it away, unless it is to be kept.
    ///
    /// # Errors
    /// What could not be taken away; `gc` can do it later.
    pub fn close(mut self) -> Result<()> {
        self.own.take().map_or(Ok(()), Own::take_away)
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        if let Some(own) = self.own.take()
            && let Err(error) = own.take_away()
        {
            tracing::warn!(%error, "a testbed stays behind; harness gc removes it");
        }
    }
}

/// The file is sparse, and a device that cannot write what it promised fails with EIO and not ENOSPC.
fn needs(dir: &Path, size: u64) -> Result<()> {
    let found = storage_sys::statfs::of(dir).map_err(Error::io("examine", dir))?;
    let memory = if dir.ends_with(MEMORY) { available_memory() } else { None };
    let available = memory.map_or(found.available, |memory| memory.min(found.available));
    if available >= size {
        return Ok(());
    }
    Err(Error::NoRoom { base: dir.parent().unwrap_or(dir).to_owned(), needed: size, available })
}

/// `MemAvailable` of proc_meminfo(5), in bytes.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

impl Own {
    fn make(options: &Options) -> Result<Self> {
        fs::create_dir_all(&options.base).map_err(Error::io("create", &options.base))?;
        let dir = options.base.join(format!("{PREFIX}{}", options.name));
        // Until the new directory has its owner, it looks like a dead run's.
        let _no_gc = lock(&options.base)?;
        fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
        let mut own =
            Self { dir, mounted: None, device: None, memory: None, owner: None, link: None, keep: options.keep };
        let path = own.dir.join(OWNER);
        let owner = File::create(&path).map_err(Error::io("create", &path))?;
        flock(&owner, FlockOperation::NonBlockingLockExclusive).map_err(Error::io("lock", &path))?;
        own.owner = Some(owner);
        Ok(own)
    }

    /// In a directory of the user's, where `gc` finds it by a link in the base.
    fn elsewhere(path: &Path, options: &Options) -> Result<Self> {
        let base = &options.base;
        fs::create_dir_all(base).map_err(Error::io("create", base))?;
        let inside = Options { base: path.to_owned(), ..options.clone() };
        if fs::canonicalize(base).is_ok_and(|base| base == path) {
            return Self::make(&inside);
        }
        let link = std::path::absolute(base.join(format!("{ELSEWHERE}{}", options.name)));
        let link = link.map_err(Error::io("find", base))?;
        // Until the testbed is there, its link looks like a dead run's.
        let _no_gc = lock(base)?;
        symlink(path.join(format!("{PREFIX}{}", options.name)), &link).map_err(Error::io("create", &link))?;
        match Self::make(&inside) {
            Ok(mut own) => {
                own.link = Some(link);
                Ok(own)
            }
            Err(error) => {
                let _ = fs::remove_file(&link);
                Err(error)
            }
        }
    }

    /// A file system in memory for the device's file.
    fn memory(&mut self, size: u64) -> Result<PathBuf> {
        let point = self.dir.join(MEMORY);
        fs::create_dir(&point).map_err(Error::io("create", &point))?;
        // The file's last page, and the directory.
        let limit = format!("size={},mode=0700", size + (1 << 20));
        mounting::memory(&point, &limit)?;
        self.memory = Some(point.clone());
        Ok(point)
    }

    fn mount(
        mut self,
        spec: &Spec,
        device: &Path,
        file_system: FileSystem,
        quota: bool,
        made: Option<mkfs::Made>,
        description: Description,
    ) -> Result<Testbed> {
        let Some(made) = made else { return self.raw(spec, device, description) };
        let point = self.dir.join(MOUNT_POINT);
        fs::create_dir(&point).map_err(Error::io("create", &point))?;
        mounting::mount(device, file_system, quota, &point)?;
        self.mounted = Some(point.clone());
        let path = point.join("data");
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        let description = Description {
            testbed: spec.to_string(),
            file_system: file_system.name().to_owned(),
            mkfs: Some(made.command),
            mkfs_version: Some(made.version),
            mount_options: mounting::options(file_system, quota).to_owned(),
            ..description
        };
        Ok(Testbed { path, description, counters: block::stat_path(device), device: None, own: Some(self) })
    }

    /// The device stays as it is; what the driver keeps beside it is in a directory.
    fn raw(self, spec: &Spec, device: &Path, description: Description) -> Result<Testbed> {
        let path = self.dir.join("data");
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        let path = fs::canonicalize(&path).map_err(Error::io("open", &path))?;
        let file_system = FileSystem::Raw.name().to_owned();
        let description = Description { testbed: spec.to_string(), file_system, ..description };
        let counters = block::stat_path(device);
        Ok(Testbed { path, description, counters, device: Some(device.to_owned()), own: Some(self) })
    }

    fn take_away(mut self) -> Result<()> {
        self.take_apart()
    }

    fn take_apart(&mut self) -> Result<()> {
        if self.keep {
            return Ok(());
        }
        if let Some(point) = self.mounted.take() {
            // Drivers below may have been dropped with their mounts on.
            for mount in mountinfo::below(&point).unwrap_or_default().iter().rev() {
                detach(&mount.mount_point).map_err(Error::io("unmount", &mount.mount_point))?;
            }
        }
        if self.device.is_some() && self.dir.join("data").exists() {
            let real = fs::canonicalize(&self.dir).map_err(Error::io("open", &self.dir))?;
            for mount in mountinfo::below(&real).unwrap_or_default().iter().rev() {
                detach(&mount.mount_point).map_err(Error::io("unmount", &mount.mount_point))?;
            }
            remove_devices(&real)?;
        }
        if let Some(device) = self.device.take() {
            let path = device.path().to_owned();
            device.detach().map_err(Error::io("detach", path))?;
        }
        if let Some(point) = self.memory.take() {
            detach(&point).map_err(Error::io("unmount", &point))?;
        }
        self.owner = None;
        btrfs::remove_tree(&self.dir).map_err(Error::io("remove", &self.dir))?;
        self.link.take().map_or(Ok(()), |link| fs::remove_file(&link).map_err(Error::io("remove", link)))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Err(error) = self.take_apart() {
            tracing::warn!(%error, "a testbed stays behind; harness gc removes it");
        }
    }
}
