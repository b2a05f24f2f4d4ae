//! What this program and one driver hold of the machine: counted from outside, as the kernel has it.

use std::{fs, io, path::Path};

use storage_driver::{Bytes, StorageDriver};
use storage_sys::{loopdev, mountinfo};
use workloads::Holdings;

/// Counts what there is for the driver whose data is below `data`; `own_device` when nobody else has data there.
pub fn count(driver: &dyn StorageDriver, data: &Path, own_device: bool) -> anyhow::Result<Holdings> {
    let data = data.canonicalize()?;
    let loops = loopdev::attached()?.into_iter().filter(|(_, file)| file.starts_with(&data)).count();
    Ok(Holdings {
        mounts: mountinfo::below(&data)?.into_iter().filter(|mount| mount.mount_point != data).count() as u64,
        loop_devices: loops as u64,
        cgroups: harness_runtime::own_cgroups()? as u64,
        // Without the one that reads the directory.
        descriptors: (fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1),
        layers: driver.list()?.len() as u64,
        disk: own_device.then(|| told(driver).map_or_else(|| used(&data), Ok)).transpose()?,
        memory_available: memory_available()?,
    })
}

/// A driver with a pool of its own knows what that holds; the file system that its records are on does not.
pub fn told(driver: &dyn StorageDriver) -> Option<Bytes> {
    driver.status().pairs.get("pool bytes used")?.parse().ok().map(Bytes)
}

fn used(path: &Path) -> io::Result<Bytes> {
    let found = rustix::fs::statvfs(path)?;
    Ok(Bytes(found.f_blocks.saturating_sub(found.f_bfree).saturating_mul(found.f_frsize)))
}

/// `MemAvailable` of /proc/meminfo, see proc_meminfo(5).
pub fn memory_available() -> io::Result<Option<Bytes>> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    Ok(kibibytes.map(|number| Bytes(number.saturating_mul(1024))))
}
