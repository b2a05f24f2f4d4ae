//! The drivers that are examined.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use driver_btrfs::Btrfs;
use driver_faults::{Disk, Opener, Subject};
use driver_overlay2::Overlay2;
use driver_vfs::Vfs;
use storage_driver::{Result, StorageDriver};

pub fn subject(name: &'static str) -> Box<dyn Subject> {
    let options = if name == "btrfs-limits" { &[("quota", "on")][..] } else { &[] };
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let opener = Opener::new(name, move |root: &Path| open(name, root, &options));
    Box::new(if name.starts_with("btrfs") { opener.on_disk(Disk::BTRFS) } else { opener })
}

pub fn open(name: &str, root: &Path, options: &BTreeMap<String, String>) -> Result<Arc<dyn StorageDriver>> {
    Ok(match name {
        "overlay2" => Arc::new(Overlay2::open(root, driver_overlay2::Options::from_pairs(root, options)?)?),
        "btrfs" | "btrfs-limits" => Arc::new(Btrfs::open(root, driver_btrfs::Options::from_pairs(root, options)?)?),
        _ => Arc::new(Vfs::open(root, driver_vfs::Options::from_pairs(root, options)?)?),
    })
}
