use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use storage_driver::{
    ApplyStats, Capabilities, Change, ChangeKind, CreateOptions, DiffStats, Error, HeldMount, Labels, LayerId,
    LayerInfo, Leftover, MountMode, MountedLayer, Result, Status, StorageDriver, Usage,
};
use storage_layer::by_walk;

use crate::Mistake;

/// A driver that makes a mistake.
#[derive(Debug)]
pub struct Spoiled {
    driver: Arc<dyn StorageDriver>,
    mistake: Mistake,
    /// On the driver's file system.
    scratch: PathBuf,
}

impl Spoiled {
    /// Spoils a driver; `scratch` is a directory, made when it is needed, on the file system that the driver is on.
    #[must_use]
    pub fn new(driver: Arc<dyn StorageDriver>, mistake: Mistake, scratch: PathBuf) -> Self {
        Self { driver, mistake, scratch }
    }

    /// Does something of the driver's.
    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        if self.mistake == Mistake::Sleep30 {
            std::thread::sleep(started.elapsed().mul_f64(0.3));
        }
        done
    }

    /// A tree that nobody asked for. It is synced, since what is removed before is never written.
    fn copy_again(&self, id: &LayerId) -> Result<()> {
        let view = self.driver.mount(id, MountMode::ReadWrite)?;
        let to = self.scratch.join(id.as_str());
        let copied = fs::create_dir_all(&to).map_err(Error::io("create", &to));
        let copied = copied.and_then(|()| {
            let options = storage_layer::copy::CopyOptions::default();
            storage_layer::copy::tree(view.path(), &to, &options).map_err(|error| error.into_driver(id))?;
            let synced = File::open(&to).and_then(|dir| rustix::fs::syncfs(dir).map_err(Into::into));
            synced.map_err(Error::io("sync", &to))?;
            fs::remove_dir_all(&to).map_err(Error::io("remove", &to))
        });
        view.close()?;
        copied
    }

    /// Files and directories, one by one.
    fn sync_each(&self, id: &LayerId) -> Result<()> {
        let view = self.driver.mount(id, MountMode::ReadWrite)?;
        let synced = sync_changed(self.driver.as_ref(), id, view.path(), true);
        view.close()?;
        synced
    }
}

/// Syncs what the layer changed, through the view at `root`.
fn sync_changed(driver: &dyn StorageDriver, id: &LayerId, root: &Path, directories: bool) -> Result<()> {
    for change in driver.changes(id)? {
        let path = root.join(&change.path);
        if change.kind == ChangeKind::Deleted {
            continue;
        }
        let metadata = fs::symlink_metadata(&path).map_err(Error::io("examine", &path))?;
        if metadata.is_file() || directories && metadata.is_dir() {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(Error::io("sync", &path))?;
        }
    }
    Ok(())
}

impl StorageDriver for Spoiled {
    fn name(&self) -> &'static str {
        self.driver.name()
    }

    fn capabilities(&self) -> &Capabilities {
        self.driver.capabilities()
    }

    fn status(&self) -> Status {
        let mut status = self.driver.status();
        status.pairs.insert("inject".to_owned(), self.mistake.to_string());
        status
    }

    fn was_at_rest(&self) -> bool {
        self.driver.was_at_rest()
    }

    fn recovered(&self) -> &[Leftover] {
        self.driver.recovered()
    }

    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        self.time(|| self.driver.create(id, parent, options))?;
        if self.mistake == Mistake::CopyTwice && parent.is_some() { self.copy_again(id) } else { Ok(()) }
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        let inner = self.time(|| self.driver.mount(id, mode))?;
        let path = inner.path().to_owned();
        let spoiled = Self { driver: self.driver.clone(), mistake: self.mistake, scratch: self.scratch.clone() };
        let release = {
            let id = id.clone();
            move || {
                let synced = if spoiled.mistake == Mistake::FsyncPerFile && mode == MountMode::ReadWrite {
                    sync_changed(spoiled.driver.as_ref(), &id, inner.path(), false)
                } else {
                    Ok(())
                };
                spoiled.time(|| inner.close())?;
                synced
            }
        };
        Ok(MountedLayer::new(id.clone(), mode, path, Box::new(release)))
    }

    fn hold(&self, mounted: MountedLayer) -> Result<HeldMount> {
        self.time(|| self.driver.hold(mounted))
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        if self.mistake == Mistake::FsyncStrict {
            self.sync_each(id)?;
        }
        self.time(|| self.driver.seal(id))
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.time(|| self.driver.remove(id))
    }

    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        self.time(|| self.driver.stat(id))
    }

    fn list(&self) -> Result<Vec<LayerInfo>> {
        self.time(|| self.driver.list())
    }

    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.time(|| self.driver.set_labels(id, labels))
    }

    fn usage(&self, id: &LayerId) -> Result<Usage> {
        self.driver.usage(id)
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        self.time(|| self.driver.changes(id))
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        self.time(|| match self.mistake {
            Mistake::DiffWalksBase => by_walk::diff(self.driver.as_ref(), id, out),
            _ => self.driver.diff(id, out),
        })
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        self.time(|| self.driver.apply(id, tar))
    }

    fn wait_for_space(&self) -> Result<()> {
        self.driver.wait_for_space()
    }

    fn shutdown(&self) -> Result<()> {
        self.driver.shutdown()
    }
}
