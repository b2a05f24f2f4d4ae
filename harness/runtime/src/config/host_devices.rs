use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType};

use crate::{Error, Result};

/// Directories of `/dev` that a container has of its own.
const OWN: [&str; 5] = ["pts", "shm", "mqueue", "fd", "console"];

/// All device nodes of the host, for privileged containers.
pub(super) fn all() -> Result<Vec<LinuxDevice>> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), &mut found)?;
    found.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(found)
}

fn collect(directory: &Path, found: &mut Vec<LinuxDevice>) -> Result<()> {
    let failed = || format!("read {}", directory.display());
    for entry in fs::read_dir(directory).map_err(Error::io(failed()))? {
        let entry = entry.map_err(Error::io(failed()))?;
        let own = directory == Path::new("/dev") && OWN.iter().any(|own| entry.file_name() == *own);
        // Devices come and go while this looks.
        let Ok(metadata) = entry.path().symlink_metadata() else { continue };
        let kind = metadata.file_type();
        if own || entry.file_name() == "ptmx" {
            continue;
        } else if kind.is_dir() {
            collect(&entry.path(), found)?;
        } else if kind.is_char_device() || kind.is_block_device() {
            found.push(device(&entry.path(), &metadata)?);
        }
    }
    Ok(())
}

fn device(path: &Path, metadata: &fs::Metadata) -> Result<LinuxDevice> {
    let kind = if metadata.file_type().is_block_device() { LinuxDeviceType::B } else { LinuxDeviceType::C };
    LinuxDeviceBuilder::default()
        .path(path)
        .typ(kind)
        .major(i64::from(rustix::fs::major(metadata.rdev())))
        .minor(i64::from(rustix::fs::minor(metadata.rdev())))
        .file_mode(metadata.mode() & 0o7777)
        .uid(metadata.uid())
        .gid(metadata.gid())
        .build()
        .map_err(|error| Error::invalid("linux.devices", error.to_string()))
}
