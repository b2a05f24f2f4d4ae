//! What is left where a driver keeps its layers.

use harness_testbed::Testbed;
use storage_driver::{Bytes, Sharing, Status, StorageDriver};
use workloads::Space;

use super::holdings;

/// Of a device that is a pool's, a tenth is never given to new layers.
const POOL: (u64, u64) = (9, 10);
/// What reflinks share.
const REFLINKED: Sharing = Sharing::Block(4096);

/// The room of a file system, or of a pool on a device of its own.
pub fn of(driver: &dyn StorageDriver, testbed: &Testbed) -> anyhow::Result<Space> {
    let found = storage_sys::statfs::of(testbed.path())?;
    let sharing = match driver.capabilities().sharing {
        Sharing::None if is_reflinked(&driver.status(), &found.fs_type) => REFLINKED,
        sharing => sharing,
    };
    let pool = testbed.device().and(testbed.describe().device_size);
    let free = match (pool, holdings::told(driver)) {
        (Some(size), Some(used)) => Bytes(size / POOL.1 * POOL.0) - used,
        _ => Bytes(found.available),
    };
    Ok(Space { free, sharing })
}

/// Whether a driver that copies everything has the file system share the copies' blocks.
fn is_reflinked(status: &Status, file_system: &str) -> bool {
    match status.pairs.get("copy").map(String::as_str) {
        Some("reflink") => true,
        // Shared where that is possible, and copied elsewhere.
        Some("copy_file_range") => ["xfs", "btrfs"].contains(&file_system),
        _ => false,
    }
}
