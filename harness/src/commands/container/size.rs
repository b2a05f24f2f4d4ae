//! What containers take on their drivers.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use harness_container::Record;
use storage_driver::{Bytes, LayerId, Sharing, StorageDriver};

use crate::{containers::Site, drivers, failure::Result};

/// What a container takes: its own layer, and that with the layers of its image.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub own: Bytes,
    pub whole: Bytes,
}

impl fmt::Display for Size {
    /// Docker's form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (virtual {})", self.own, self.whole)
    }
}

/// Sizes of any number of containers: each driver is opened once, and each layer is looked at once.
#[derive(Debug)]
pub struct Sizes<'a> {
    site: &'a Site,
    open: BTreeMap<(String, Vec<String>), Opened>,
}

#[derive(Debug)]
struct Opened {
    driver: Arc<dyn StorageDriver>,
    known: BTreeMap<LayerId, Bytes>,
}

impl<'a> Sizes<'a> {
    pub const fn new(site: &'a Site) -> Self {
        Self { site, open: BTreeMap::new() }
    }

    pub fn of(&mut self, record: &Record) -> Result<Size> {
        self.opened(record)?.of(&record.layer)
    }

    /// The driver of a container, for whoever does something with it before this is dropped.
    pub fn driver(&mut self, record: &Record) -> Result<Arc<dyn StorageDriver>> {
        Ok(self.opened(record)?.driver.clone())
    }

    fn opened(&mut self, record: &Record) -> Result<&mut Opened> {
        let key = (record.driver.clone(), record.driver_options.clone());
        Ok(match self.open.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let driver = drivers::open_one(&self.site.place, Some(&record.driver), &record.driver_options)?;
                new.insert(Opened { driver, known: BTreeMap::new() })
            }
        })
    }
}

impl Opened {
    fn of(&mut self, layer: &LayerId) -> Result<Size> {
        let own = self.driver.usage(layer)?.exclusive;
        let mut whole = own;
        // A layer that shares nothing holds all that is below it.
        let is_whole = self.driver.capabilities().sharing == Sharing::None;
        let mut below = if is_whole { None } else { self.driver.stat(layer)?.parent };
        while let Some(layer) = below {
            let size = match self.known.get(&layer) {
                Some(size) => *size,
                None => self.driver.usage(&layer)?.exclusive,
            };
            whole += size;
            below = self.driver.stat(&layer)?.parent;
            self.known.insert(layer, size);
        }
        Ok(Size { own, whole })
    }
}
