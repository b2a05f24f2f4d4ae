//! Mounting without being root: the program goes on in a user and a mount namespace of its own.

use storage_sys::userns::{self, Mapping};

use crate::failure::{Failure, Result};

/// Enters a user namespace unless this is root already; must come before the first thread is started.
///
/// Mounts made there end with the program, and so does everything that could leak.
pub fn acquire() -> Result {
    if rustix::process::geteuid().is_root() {
        return Ok(());
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
