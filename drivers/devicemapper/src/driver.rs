use std::{
    io::{Read, Write},
    path::Path,
};

use storage_driver::{
    ApplyStats, Bytes, Capabilities, Change, CreateOptions, DiffStats, Labels, LayerId, LayerInfo, Leftover, MountMode,
    MountedLayer, Result, Status, StorageDriver, Usage,
};
use storage_layer::{ApplyOptions, by_walk};

use crate::{
    NAME, Options,
    abilities::{capabilities, status},
    backing::Sizes,
    filesystem::Access,
    layers::Layers,
    open::{Opened, open},
};

/// Layers as thin devices, below one root.
#[derive(Debug)]
pub struct DeviceMapper {
    layers: Layers,
    options: Options,
    capabilities: Capabilities,
    recovered: Vec<Leftover>,
}

impl DeviceMapper {
    /// Opens a root and brings its pool up, making both if they are not there.
    ///
    /// # Errors
    /// [`Error::Unusable`](storage_driver::Error::Unusable) with what is missing and the remedy, or naming who holds a device
    /// of an earlier process; [`Error::Locked`](storage_driver::Error::Locked);
    /// [`Error::Corrupt`](storage_driver::Error::Corrupt) when pool and records do not fit.
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        let Opened { root, pool, recovered } = open(root, &options)?;
        let capabilities = capabilities(&pool);
        let layers = Layers::new(root, pool, options.fs);
        Ok(Self { layers, options, capabilities, recovered })
    }

    /// Makes a pool on files larger while it is at work; what is less than it has changes nothing.
    ///
    /// # Errors
    /// [`Error::Unsupported`](storage_driver::Error::Unsupported) for a pool on devices, or what the kernel said.
    pub fn grow(&self, data: Bytes, metadata: Bytes) -> Result<()> {
        self.layers.pool.grow(Sizes { data, metadata }, &self.options)
    }
}

impl StorageDriver for DeviceMapper {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn status(&self) -> Status {
        status(&self.layers.pool, &self.options)
    }

    fn was_at_rest(&self) -> bool {
        self.layers.root.was_at_rest()
    }

    fn recovered(&self) -> &[Leftover] {
        &self.recovered
    }

    fn create(&self, id: &LayerId, parent: Option<&LayerId>, options: &CreateOptions) -> Result<()> {
        let mut made = None;
        let created = self.layers.root.create(id, parent, &options.labels, |_, parent| {
            let data = self.layers.build(parent, options.size)?;
            made = Some(data.clone());
            Ok(data)
        });
        if let (Err(_), Some(data)) = (&created, &made)
            && let Err(error) = self.layers.forget(data)
        {
            tracing::warn!(layer = %id, %error, "the device of a layer that was not made stays until the next opening");
        }
        created
    }

    fn mount(&self, id: &LayerId, mode: MountMode) -> Result<MountedLayer> {
        self.layers.mount(id, mode)
    }

    fn seal(&self, id: &LayerId) -> Result<()> {
        let before = self.layers.root.get(id)?.driver.clone();
        self.layers.root.seal(id, |dir, data| {
            self.layers.refuse_lost(id)?;
            self.layers.seal(dir, data)
        })?;
        let after = self.layers.root.get(id)?;
        self.layers.replaced(&before, &after.driver)
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.layers.remove(id)
    }

    fn stat(&self, id: &LayerId) -> Result<LayerInfo> {
        self.layers.root.stat(id)
    }

    fn list(&self) -> Result<Vec<LayerInfo>> {
        self.layers.root.list()
    }

    fn set_labels(&self, id: &LayerId, labels: &Labels) -> Result<()> {
        self.layers.root.set_labels(id, labels)
    }

    fn usage(&self, id: &LayerId) -> Result<Usage> {
        self.layers.usage(id)
    }

    fn changes(&self, id: &LayerId) -> Result<Vec<Change>> {
        self.layers.refuse_lost(id)?;
        by_walk::changes(self, id)
    }

    fn diff(&self, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
        self.layers.refuse_lost(id)?;
        by_walk::diff(self, id, out)
    }

    fn apply(&self, id: &LayerId, tar: &mut (dyn Read + Send)) -> Result<ApplyStats> {
        self.layers.root.with_writable(id, |dir, record| {
            self.layers.refuse_lost(id)?;
            self.layers.with_mount(dir, &record.driver, Access::Write, |tree| {
                storage_layer::apply(tree, tar, &ApplyOptions::default()).map_err(|error| error.into_driver(id))
            })
        })
    }

    fn shutdown(&self) -> Result<()> {
        self.layers.root.shutdown()?;
        self.layers.pool.delete_pending()
    }
}
