//! A driver that says it did what it did not.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use storage_driver::{
    ApplyStats, Capabilities, Change, CopiedUp, CreateOptions, DiffStats, Labels, LayerId, LayerInfo, Leftover,
    MountMode, MountedLayer, Result, Status, StorageDriver, Usage,
};

/// What it does not do with the layers of a round; all others are as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// No file is ever copied up.
    NothingCopied,
    /// Everything is copied up again and again.
    CopiedTwice,
    /// No layer is ever changed, and all tars are empty.
    NothingChanged,
    /// A tar is read, and that is all.
    NothingApplied,
    /// Layers stay as they are.
    NothingSealed,
    /// Layers stay where they are.
    NothingRemoved,
    /// What is mounted has a file that nobody has made.
    Stray,
    /// What is mounted has lost this file.
    Lost(&'static str),
    /// What is mounted has other bytes in this file.
    Spoilt(&'static str),
    /// It has no more layers than this.
    Shallow(u32),
}

#[derive(Debug)]
pub struct Lying<D> {
    driver: D,
    lie: Lie,
    capabilities: Capabilities,
}

impl<D: StorageDriver> Lying<D> {
    pub fn new(driver: D, lie: Lie) -> Self {
        let mut capabilities = driver.capabilities().clone();
        if let Lie::Shallow(depth) = lie {
            capabilities.max_depth = Some(depth);
        }
        Self { driver, lie, capabilities }
    }

    fn lies(&self, id: &LayerId, lie: Lie) -> bool {
        self.lie == lie && (id.as_str().contains("round") || lie == Lie::NothingChanged)
    }

    fn tamper(&self, root: &Path) {
        match self.lie {
            Lie::Stray => fs::write(root.join("stray"), "").unwrap(),
            Lie::Lost(name) => fs::remove_file(root.join(name)).unwrap(),
            Lie::Spoilt(name) => {
                let len = fs::metadata(root.join(name)).unwrap().len();
                fs::write(root.join(name), vec![0; len as usize]).unwrap();
            }
            _ => {}
        }
    }
}

impl<D: StorageDriver> StorageDriver for Lying<D> {
    fn name(&self) -> &'static str {
        self.driver.name()
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn status(&self) -> Status {
        self.driver.status()
    }
    fn recovered(&self) -> &[Leftover] {
        self.driver.recovered()
    }
    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        self.driver.create(id, parent, options)
    }
    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        let mounted = self.driver.mount(id, mode)?;
        if mode == MountMode::ReadWrite && id.as_str().contains("round") {
            self.tamper(mounted.path());
        }
        Ok(mounted)
    }
    fn seal(&self, id: &LayerId) -> Result<()> {
        if self.lies(id, Lie::NothingSealed) { Ok(()) } else { self.driver.seal(id) }
    }
    fn remove(&self, id: &LayerId) -> Result<()> {
        if self.lies(id, Lie::NothingRemoved) { Ok(()) } else { self.driver.remove(id) }
    }
    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        self.driver.stat(id)
    }
    fn list(&self) -> Result<Vec<LayerInfo>> {
        self.driver.list()
    }
    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.driver.set_labels(id, labels)
    }
    fn usage(&self, id: &LayerId) -> Result<Usage> {
        let usage = self.driver.usage(id)?;
        let copied_up = match self.lie {
            Lie::NothingCopied => CopiedUp::default(),
            Lie::CopiedTwice => CopiedUp { files: usage.copied_up.files * 2, ..usage.copied_up },
            _ => usage.copied_up,
        };
        Ok(Usage { copied_up, ..usage })
    }
    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        if self.lies(id, Lie::NothingChanged) { Ok(Vec::new()) } else { self.driver.changes(id) }
    }
    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        if self.lies(id, Lie::NothingChanged) { Ok(DiffStats::default()) } else { self.driver.diff(id, out) }
    }
    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        if !self.lies(id, Lie::NothingApplied) {
            return self.driver.apply(id, tar);
        }
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes).unwrap();
        Ok(ApplyStats { entries: 1, size: storage_driver::Bytes(bytes.len() as u64), ..ApplyStats::default() })
    }
    fn wait_for_space(&self) -> Result<()> {
        self.driver.wait_for_space()
    }

    fn shutdown(&self) -> Result<()> {
        self.driver.shutdown()
    }
}
