//! The layers that a workload makes for itself.

use std::path::Path;

use storage_driver::{CreateOptions, LayerId, MountMode, StorageDriver};

use crate::{Error, Result};

/// What rounds make is called so, and goes with the round.
pub(crate) const ROUND: &str = "round";

/// The layers of one workload on a driver, told from all others by their ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnLayers<'a> {
    driver: &'a dyn StorageDriver,
    workload: &'static str,
}

impl<'a> OwnLayers<'a> {
    pub(crate) const fn new(driver: &'a dyn StorageDriver, workload: &'static str) -> Self {
        Self { driver, workload }
    }

    /// The id of the layer of this name.
    pub(crate) fn id(&self, name: &str) -> Result<LayerId> {
        Ok(LayerId::new(format!("{}.{name}", self.workload))?)
    }

    /// A new writable layer.
    pub(crate) fn create(&self, name: &str, parent: Option<&LayerId>) -> Result<LayerId> {
        let id = self.id(name)?;
        self.driver.create(&id, parent, &CreateOptions::default())?;
        Ok(id)
    }

    /// A new writable layer that is changed once.
    pub(crate) fn changed(
        &self,
        name: &str,
        parent: Option<&LayerId>,
        change: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<LayerId> {
        let id = self.create(name, parent)?;
        self.mounted(&id, MountMode::ReadWrite, change)?;
        Ok(id)
    }

    /// A new sealed layer.
    pub(crate) fn sealed(
        &self,
        name: &str,
        parent: Option<&LayerId>,
        change: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<LayerId> {
        let id = self.changed(name, parent, change)?;
        self.driver.seal(&id)?;
        Ok(id)
    }

    /// Works in a layer's mounted tree.
    pub(crate) fn mounted<T>(&self, id: &LayerId, mode: MountMode, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let mounted = self.driver.mount(id, mode)?;
        let done = work(mounted.path())?;
        mounted.close()?;
        Ok(done)
    }

    /// Removes those whose names start so, tops first.
    pub(crate) fn remove(&self, prefix: &str) -> Result<()> {
        let prefix = format!("{}.{prefix}", self.workload);
        for layer in self.driver.list()?.into_iter().rev().filter(|layer| layer.id.as_str().starts_with(&prefix)) {
            self.driver.remove(&layer.id)?;
        }
        Ok(())
    }
}

/// From the topmost layer down to the lowest.
pub(crate) fn chain(driver: &dyn StorageDriver, top: &LayerId) -> Result<Vec<LayerId>> {
    let mut chain = vec![top.clone()];
    while let Some(parent) = chain.last().map_or(Ok(None), |id| driver.stat(id).map(|info| info.parent))? {
        chain.push(parent);
    }
    Ok(chain)
}

/// A base image that has to have layers.
pub(crate) fn base(engine: &mut dyn crate::Engine, name: &str) -> Result<LayerId> {
    engine.ensure_base(name)?.ok_or_else(|| Error::effect(format!("the base image {name}"), "layers", "none"))
}
