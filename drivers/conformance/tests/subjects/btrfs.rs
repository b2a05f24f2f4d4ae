//! A btrfs for each way to use it, made when the first trial asks for it and taken away when the last one has ended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use harness_testbed::{Options, Spec, Testbed};

/// By variant: switching quotas on is a whole file system's matter.
static BEDS: Mutex<BTreeMap<&'static str, Testbed>> = Mutex::new(BTreeMap::new());

/// Where trials of this variant have their rooms.
///
/// # Panics
/// When there are no loop devices or no mkfs.btrfs, saying what to install.
pub fn directory(variant: &'static str) -> PathBuf {
    let mut beds = BEDS.lock().unwrap_or_else(PoisonError::into_inner);
    let bed = beds.entry(variant).or_insert_with(|| {
        let spec: Spec = "loop:btrfs,size=4G".parse().unwrap_or_else(|error| panic!("{error}"));
        let name = format!("conformance-btrfs{variant}-{}", std::process::id());
        Testbed::open(&spec, &Options { base: base(), name, keep: false }).unwrap_or_else(|error| panic!("{error}"))
    });
    bed.path().to_owned()
}

/// The file is sparse, and much faster in memory.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Nothing drops what is static.
pub fn take_away() {
    let beds = std::mem::take(&mut *BEDS.lock().unwrap_or_else(PoisonError::into_inner));
    let failed: Vec<_> = beds.into_values().filter_map(|bed| bed.close().err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
