//! Sealing several layers for the price of one.

use std::{sync::Arc, time::SystemTime};

use serde::{Serialize, de::DeserializeOwned};
use storage_driver::{Error, LayerId, LayerState, Result, Timestamp};

use crate::Root;

impl<X: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Root<X> {
    /// Seals a layer in memory: its record on disk goes on to say that it is writable until [`settle`](Self::settle).
    ///
    /// `prepare` does what sealing takes but for syncing.
    ///
    /// # Errors
    /// As for [`seal`](Self::seal).
    pub fn seal_later(&self, id: &LayerId, prepare: impl FnOnce(&std::path::Path, &mut X) -> Result<()>) -> Result<()> {
        self.exclusively(id, || {
            let record = {
                self.look_after(id)?;
                let mut table = self.table();
                table.refuse_mounted(id)?;
                table.slot(id)?.record.clone()
            };
            if record.info.state == LayerState::Sealed {
                return Ok(());
            }
            let mut record = crate::Record::clone(&record);
            prepare(&self.layer_dir(id), &mut record.driver)?;
            record.info.state = LayerState::Sealed;
            record.info.updated = Timestamp::from_system(SystemTime::now()).max(record.info.updated);
            let mut table = self.table();
            table.slot_mut(id)?.record = Arc::new(record);
            table.unsettled.insert(id.clone());
            Ok(())
        })
    }

    /// Makes all layers durable that were sealed in memory; `sync` brings the whole file system of the root to disk, once for
    /// their data and the records that say so, and once for these records' names, which they get in between, parents first:
    /// so no record says more than is there, and no sealed layer stands on a writable one.
    ///
    /// # Errors
    /// What `sync` or the file system said. Layers whose data could not be synced are never durable, nor is any other
    /// until they are removed: a sync that is tried again can succeed without what was lost.
    pub fn settle(&self, sync: impl Fn() -> Result<()>) -> Result<()> {
        let mut renamed = self.settling();
        let mut records: Vec<_> = {
            let mut table = self.table();
            if let Some(id) = table.doubtful.first() {
                let why = std::io::Error::other("an earlier sync failed, and its data may be lost; remove this layer");
                return Err(Error::io("settle", self.layer_dir(id))(why));
            }
            {
                let unsettled = table.unsettled.clone();
                unsettled.iter().filter_map(|id| Some(table.slot(id).ok()?.record.clone())).collect()
            }
        };
        if records.is_empty() && !*renamed {
            return Ok(());
        }
        records.sort_by_key(|record| record.depth);
        let syncs = self.durability().syncs();
        for record in &records {
            unless_removed(self.exclusively(&record.info.id, || record.write_aside(&self.layer_dir(&record.info.id))))?;
        }
        if syncs && !records.is_empty() {
            sync().inspect_err(|_| {
                let mut table = self.table();
                let still =
                    records.iter().map(|record| record.info.id.clone()).filter(|id| table.unsettled.contains(id));
                let still: Vec<_> = still.collect();
                table.doubtful.extend(still);
            })?;
        }
        for record in &records {
            let id = &record.info.id;
            *renamed = true;
            unless_removed(self.exclusively(id, || {
                let now = self.get(id)?;
                if Arc::ptr_eq(&now, record) {
                    crate::Record::<X>::put_in_place(&self.layer_dir(id))?;
                } else {
                    // Relabelled meanwhile.
                    now.write(&self.layer_dir(id), self.durability())?;
                }
                self.table().unsettled.remove(id);
                Ok(())
            }))?;
        }
        if syncs {
            sync()?;
        }
        *renamed = false;
        Ok(())
    }
}

fn unless_removed(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}
