//! Correct defaults for any driver, through its own mounts.

use std::io::{Read, Write};

use storage_driver::{
    ApplyStats, Change, DiffStats, LayerId, LayerState, MountMode, MountedLayer, Result, StorageDriver,
};

use crate::{ApplyOptions, Error, tree};

/// [`StorageDriver::changes`] by walking the layer and its parent.
///
/// # Errors
/// Those of [`StorageDriver::mount`] and [`tree::changes`].
pub fn changes(driver: &dyn StorageDriver, id: &LayerId) -> Result<Vec<Change>> {
    with_views(driver, id, |lower, upper| tree::changes(lower.map(MountedLayer::path), upper.path()))
}

/// [`StorageDriver::diff`] by walking the layer and its parent.
///
/// # Errors
/// Those of [`StorageDriver::mount`] and [`tree::diff`].
pub fn diff(driver: &dyn StorageDriver, id: &LayerId, out: &mut (dyn Write + Send)) -> Result<DiffStats> {
    with_views(driver, id, |lower, upper| tree::diff(lower.map(MountedLayer::path), upper.path(), out))
}

/// [`StorageDriver::apply`] through a writable mount.
///
/// # Errors
/// Those of [`StorageDriver::mount`] and [`apply`](crate::apply()).
pub fn apply(
    driver: &dyn StorageDriver,
    id: &LayerId,
    tar: &mut (dyn Read + Send),
    options: &ApplyOptions,
) -> Result<ApplyStats> {
    let layer = driver.mount(id, MountMode::ReadWrite)?;
    let stats = crate::apply(layer.path(), tar, options).map_err(|error| error.into_driver(id));
    keep_first(stats, layer.close())
}

/// A writable layer may be mounted already, either way: then this takes part in that mount. If not, it is mounted
/// read-write even if only to look, so that it is not in the way of those who come to write meanwhile.
fn with_views<T>(
    driver: &dyn StorageDriver,
    id: &LayerId,
    look: impl FnOnce(Option<&MountedLayer>, &MountedLayer) -> Result<T, Error>,
) -> Result<T> {
    let info = driver.stat(id)?;
    let upper = match info.state {
        LayerState::Sealed => driver.mount(id, MountMode::ReadOnly)?,
        LayerState::Writable => match driver.mount(id, MountMode::ReadWrite) {
            Err(storage_driver::Error::InUse { .. }) => driver.mount(id, MountMode::ReadOnly)?,
            answer => answer?,
        },
    };
    let lower = info.parent.as_ref().map(|parent| driver.mount(parent, MountMode::ReadOnly)).transpose()?;
    let answer = look(lower.as_ref(), &upper).map_err(|error| error.into_driver(id));
    let answer = keep_first(answer, lower.map_or(Ok(()), MountedLayer::close));
    keep_first(answer, upper.close())
}

fn keep_first<T>(answer: Result<T>, closed: Result<()>) -> Result<T> {
    match (answer, closed) {
        (Ok(answer), Ok(())) => Ok(answer),
        (Ok(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        (Err(cause), Err(cleanup)) => {
            Err(storage_driver::Error::Rollback { cause: Box::new(cause), cleanup: Box::new(cleanup) })
        }
    }
}
