//! Whether two runs may be compared at all.

use std::collections::BTreeMap;

use serde::Serialize;

use super::exact::Bed;
use crate::RunRecord;

/// Something that moves every number and is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What.
    pub what: String,
    /// In the base.
    pub base: String,
    /// In what is new.
    pub new: String,
}

/// What exact counters stand on: kernel, file system, how it was made and mounted, base images, parameters, seed.
///
/// Drivers' options are not among it: they are what a change under test may have changed.
#[must_use]
pub fn identity(record: &RunRecord) -> BTreeMap<String, String> {
    let host = &record.host;
    let mut identity = BTreeMap::from([
        ("kernel".to_owned(), host.kernel.clone()),
        ("kernel configuration".to_owned(), host.kernel_config.clone().unwrap_or_default()),
        ("machine".to_owned(), host.machine.clone()),
        ("seed".to_owned(), record.seed.to_string()),
    ]);
    for (driver, about) in &record.drivers {
        for (key, value) in about.testbed.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            identity.insert(format!("testbed of {driver}: {}", key.replace('_', " ")), text);
        }
    }
    for (workload, params) in &record.workloads {
        for (name, value) in params {
            identity.insert(format!("{workload}: parameter {name}"), value.clone());
        }
    }
    identity.extend(record.images.iter().map(|(name, id)| (format!("base image {name}"), id.clone())));
    identity
}

/// What differs of what both have. What only one has are cells that only one has.
#[must_use]
pub fn differences(base: &RunRecord, new: &RunRecord) -> Vec<Difference> {
    let new = identity(new);
    let differs = |(what, base): (String, String)| {
        let new = new.get(&what)?;
        (*new != base).then(|| Difference { what, base, new: new.clone() })
    };
    identity(base).into_iter().filter_map(differs).collect()
}

/// A short name for what a run's counters stand on, for a directory of reference runs.
#[must_use]
pub fn fingerprint(record: &RunRecord) -> String {
    let text: String = identity(record).iter().map(|(what, value)| format!("{what}={value}\n")).collect();
    format!("{:016x}", crate::host::fnv1a(text.as_bytes()))
}

/// What lies below a driver.
pub(super) fn bed(record: &RunRecord, driver: &str) -> Bed {
    let file_system = record.drivers.get(driver).and_then(|about| about.testbed.get("file_system"));
    if file_system.is_some_and(|name| name == "btrfs") { Bed::Trees } else { Bed::Steady }
}

/// Whether times may be held against each other: the same processor and as many of them.
pub(super) fn same_processor(base: &RunRecord, new: &RunRecord) -> bool {
    (&base.host.cpu, base.host.cpus) == (&new.host.cpu, new.host.cpus)
}
