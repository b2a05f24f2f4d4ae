//! The drivers that are examined.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use driver_faults::{Opener, Subject};
use driver_overlay2::Overlay2;
use driver_vfs::Vfs;
use storage_driver::{Result, StorageDriver};

pub const NAMES: [&str; 2] = ["overlay2", "vfs"];

pub fn subject(name: &'static str) -> Box<dyn Subject> {
    Box::new(Opener::new(name, move |root: &Path| open(name, root, &BTreeMap::new())))
}

pub fn open(name: &str, root: &Path, options: &BTreeMap<String, String>) -> Result<Arc<dyn StorageDriver>> {
    Ok(match name {
        "overlay2" => Arc::new(Overlay2::open(root, driver_overlay2::Options::from_pairs(root, options)?)?),
        _ => Arc::new(Vfs::open(root, driver_vfs::Options::from_pairs(root, options)?)?),
    })
}
