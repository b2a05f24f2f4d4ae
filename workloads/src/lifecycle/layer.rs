//! What a life is to the driver.

use std::fs;

use storage_driver::{CreateOptions, LayerId, MountMode, StorageDriver};

use super::lives::{Life, Together};
use crate::{Error, Result};

/// Makes, mounts, unmounts and removes a layer; what failed leaves none.
pub(super) fn live(
    driver: &dyn StorageDriver,
    parent: Option<&LayerId>,
    number: u64,
    together: Together<'_>,
) -> Result<Life> {
    let mut life = Life::default();
    let id = LayerId::new(format!("lifecycle-{number}"))?;
    let lived = steps(&mut life, driver, &id, parent, together);
    if lived.is_err() {
        // It may not have been made; why not is the error to tell.
        let _ = driver.remove(&id);
    }
    lived.map(|()| life)
}

fn steps(
    life: &mut Life,
    driver: &dyn StorageDriver,
    id: &LayerId,
    parent: Option<&LayerId>,
    together: Together<'_>,
) -> Result<()> {
    let created = life.step("create", || Ok(driver.create(id, parent, &CreateOptions::default())?));
    let mounted = created.and_then(|()| life.step("mount", || Ok(driver.mount(id, MountMode::ReadWrite)?)));
    together.wait();
    let mounted = mounted?;
    let seen = fs::read_dir(mounted.path()).map_err(Error::io("read", mounted.path()))?.count();
    if parent.is_some() && seen == 0 {
        return Err(Error::effect(format!("the mounted layer {id}"), "what its parent has", "nothing"));
    }
    life.step("unmount", || Ok(mounted.close()?))?;
    life.step("remove", || Ok(driver.remove(id)?))?;
    gone(driver, id)
}

/// Whether the driver does not know the layer any more.
pub(super) fn gone(driver: &dyn StorageDriver, id: &LayerId) -> Result<()> {
    match driver.stat(id) {
        Err(storage_driver::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Error::effect(format!("the removed layer {id}"), "nothing", "a layer")),
    }
}
