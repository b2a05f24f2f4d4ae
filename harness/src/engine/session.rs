use std::sync::Arc;

use harness_image::{Durability, Layers, Store};
use storage_driver::StorageDriver;

use crate::{drivers, failure::Result, place::Place};

/// One driver with the images on it.
#[derive(Debug)]
pub struct Session {
    pub store: Arc<Store>,
    pub layers: Layers,
}

impl Session {
    /// For an engine command: the driver asked for, or the first that works here.
    pub fn open(place: &Place, driver: Option<&str>, options: &[String]) -> Result<Self> {
        // One option for all that is written: a layer that may be lost makes nothing of an image that may not.
        let durability = if options.iter().any(|o| o == "sync=off") { Durability::Skip } else { Durability::Sync };
        let store = Store::open_with(&place.images(), durability)?;
        let driver = drivers::open_one(place, driver, options)?;
        Self::on(store, driver)
    }

    /// On a driver that is open.
    pub fn on(store: Arc<Store>, driver: Arc<dyn StorageDriver>) -> Result<Self> {
        let layers = Layers::new(store.clone(), driver)?;
        Ok(Self { store, layers })
    }

    pub fn driver(&self) -> &Arc<dyn StorageDriver> {
        self.layers.driver()
    }
}
