//! The containers of one data directory, with the drivers that their layers are on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use harness_container::{Client, Containers, Held, Host, Record, Status, Volumes};
use storage_driver::StorageDriver;

use crate::{drivers, failure::Failure, failure::Result, place::Place};

/// How long a command waits for one that is just ending with a container.
const PATIENCE: Duration = Duration::from_secs(10);

/// The containers and volumes of one data directory.
#[derive(Debug)]
pub struct Site {
    pub place: Place,
    pub containers: Containers,
    pub volumes: Volumes,
    open: Mutex<Option<Arc<dyn StorageDriver>>>,
}

impl Site {
    pub fn open(place: Place) -> Result<Self> {
        let containers = Containers::open(place.containers())?;
        let volumes = Volumes::open(place.volumes())?;
        Ok(Self { place, containers, volumes, open: Mutex::default() })
    }

    /// Keeps the driver open for whoever opens it next: opening is a fortieth of a short container's life.
    pub fn keep_open(&self, driver: Arc<dyn StorageDriver>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    }

    /// The container with this name or id; that there is none is a failed command, as docker's.
    pub fn find(&self, name: &str) -> Result<Record> {
        self.containers.find(name).map_err(|error| Failure::Failed(error.into()))
    }

    /// The container, and how it is doing.
    pub fn look(&self, name: &str) -> Result<(Record, Status)> {
        let record = self.find(name)?;
        let status = self.containers.state(&record.id)?.1;
        Ok((record, status))
    }

    /// The right to look after a container that nobody looks after.
    pub fn hold(&self, record: &Record) -> Result<Held> {
        self.containers.hold(record, PATIENCE).map_err(|error| Failure::Failed(error.into()))
    }

    /// The supervisor of a container that runs.
    pub fn supervisor(&self, record: &Record) -> Result<Client> {
        let client = Client::connect(&self.containers, &record.id)?;
        client.ok_or_else(|| Failure::failed(format!("container {} is not running", record.name)))
    }

    /// Takes a container away that has ended: its layer, volumes that nobody named if that is asked for, its directory.
    pub fn remove(&self, record: &Record, volumes: bool) -> Result {
        let held = self.hold(record)?;
        harness_container::remove(&self.containers, volumes.then_some(&self.volumes), self, record, held)
            .map_err(|error| Failure::Failed(error.into()))
    }
}

impl Host for Site {
    fn open(&self, record: &Record) -> harness_container::Result<Arc<dyn StorageDriver>> {
        if let Some(driver) = self.open.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(driver);
        }
        let opened = drivers::open_one(&self.place, Some(&record.driver), &record.driver_options);
        opened.map_err(|failure| harness_container::Error::Host(failure.to_string()))
    }
}
