//! Mounting without being root: the program goes on in a user and a mount namespace of its own.

use std::{fs, os::unix::fs::MetadataExt};

use harness_container::Containers;
use storage_sys::userns::{self, Mapping};

use crate::{
    failure::{Failure, Result},
    place::Place,
};

/// Enters a user namespace unless this is root already; must come before the first thread is started.
///
/// Where a container of this user's runs, it is that container's, in which its layer is mounted. Else it is a new one: mounts made
/// there end with the program, and so does everything that could leak.
pub fn acquire(place: &Place) -> Result {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    if let Some(supervisor) = supervisor(place) {
        return userns::join(supervisor).map_err(Failure::usage);
    }
    match userns::enter() {
        Ok(Mapping::Many) => Ok(()),
        Ok(Mapping::One) => {
            tracing::info!("no subordinate ids for this user (/etc/subuid, newuidmap): every file will have one owner");
            Ok(())
        }
        Err(error) => Err(Failure::usage(error)),
    }
}

/// The supervisor of a container of this user's that runs.
fn supervisor(place: &Place) -> Option<u32> {
    if !place.containers().is_dir() {
        return None;
    }
    let containers = Containers::open(place.containers()).ok()?;
    let alive = containers.list().ok()?.into_iter().filter(|(_, status)| status.is_alive());
    let supervisors = alive.filter_map(|(record, _)| containers.state(&record.id).ok()?.0.supervisor);
    let own = rustix::process::geteuid().as_raw();
    supervisors.into_iter().find(|pid| fs::metadata(format!("/proc/{pid}")).is_ok_and(|stat| stat.uid() == own))
}
