//! Which drivers are examined, and where.

mod both;
mod btrfs;

use std::{collections::BTreeMap, path::Path, sync::Arc};

pub use self::btrfs::take_away;
use driver_conformance::{Case, Need, Opener, Subject};
use storage_driver::{Result, StorageDriver};

/// The variant in which every diff is made twice.
const BOTH: &str = "-both";

/// In which namespace a driver is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In this process, as root.
    Here,
    /// In a user namespace with 65536 ids.
    ManyIds,
    /// In a user namespace with one id.
    OneId,
}

/// A driver with its options in one place.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    driver: &'static str,
    options: &'static [(&'static str, &'static str)],
    variant: &'static str,
    pub place: Place,
    /// On a tmpfs, where there is one: the same driver on another file system, and faster.
    ram: bool,
}

/// All of them. The model comes first: where it fails, the suite is wrong.
///
/// Each driver is examined on the disk with its defaults; what differs from that in one point is examined in memory.
pub fn targets() -> Vec<Target> {
    let disk = |driver, variant, place| Target { driver, options: &[], variant, place, ram: false };
    let ram = |driver, variant, place| Target { ram: true, ..disk(driver, variant, place) };
    let option = |variant, options| Target { options, ..ram("overlay2", variant, Place::Here) };
    let mut targets = vec![
        ram("memory", "", Place::Here),
        disk("vfs", "", Place::Here),
        disk("overlay2", "", Place::Here),
        // On a loop device, whatever the disk is.
        disk("btrfs", "", Place::Here),
        // Each answer by generation is held against the walk.
        disk("btrfs", BOTH, Place::Here),
        Target { options: &[("diff", "walk"), ("quota", "on")], ..disk("btrfs", "-walk", Place::Here) },
        disk("overlay2", "-userns", Place::ManyIds),
        option("-legacy", &[("mount_api", "legacy")]),
        option("-redirect", &[("redirect_dir", "on")]),
        option("-metacopy", &[("metacopy", "on")]),
        ram("vfs", "-userns", Place::ManyIds),
        ram("overlay2", "-oneid", Place::OneId),
    ];
    if left_out().is_none() {
        targets.push(disk("devicemapper", "", Place::Here));
        targets.push(Target { options: &[("fs", "xfs")], ..ram("devicemapper", "-xfs", Place::Here) });
    }
    targets
}

/// Why devicemapper is left out, and where it is not.
pub fn left_out() -> Option<String> {
    let error = storage_sys::dm::Control::open().err()?;
    Some(format!(
        "privileged_devicemapper (this kernel has no device-mapper: {error}; it runs in the lab: harness lab)"
    ))
}

impl Target {
    pub fn full_name(self) -> String {
        format!("privileged_{}{}", self.driver, self.variant)
    }

    pub fn subject(self) -> Box<dyn Subject> {
        if self.driver == "memory" {
            return Box::new(driver_conformance::memory());
        }
        let name = format!("{}{}", self.driver, self.variant);
        let opener = Opener::new(name, move |root: &Path| self.open(root));
        if self.driver == "btrfs" {
            return Box::new(opener.below(btrfs::directory(self.variant)));
        }
        Box::new(if self.ram { opener.in_ram() } else { opener })
    }

    /// Whether it is a driver in its default form, on a disk.
    pub fn is_plain(self) -> bool {
        self.variant.is_empty() && self.driver != "memory"
    }

    /// Opens it on a root, wherever that is.
    pub fn open(self, root: &Path) -> Result<Arc<dyn StorageDriver>> {
        let options: BTreeMap<String, String> =
            self.options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(match self.driver {
            "btrfs" => {
                let options = driver_btrfs::Options::from_pairs(root, &options)?;
                let btrfs: Arc<dyn StorageDriver> = Arc::new(driver_btrfs::Btrfs::open(root, options)?);
                if self.variant == BOTH { Arc::new(both::Both(btrfs)) } else { btrfs }
            }
            "devicemapper" => {
                let options = driver_devicemapper::Options::from_pairs(root, &options)?;
                Arc::new(driver_devicemapper::DeviceMapper::open(root, options)?)
            }
            "vfs" => Arc::new(driver_vfs::Vfs::open(root, driver_vfs::Options::from_pairs(root, &options)?)?),
            _ => {
                let options = driver_overlay2::Options::from_pairs(root, &options)?;
                Arc::new(driver_overlay2::Overlay2::open(root, options)?)
            }
        })
    }

    /// Whether a case may say that it does not apply: anything else that is left out is a failure, lest a broken
    /// probe empties the suite.
    pub fn may_lack(self, case: &Case) -> bool {
        let excused = |need: &Need| match need {
            // ext4 has project quotas only where it was made and mounted with them, btrfs has its own only where they are
            // on; a thin device has its size anywhere.
            Need::SizeLimit => self.driver != "devicemapper" && !self.options.contains(&("quota", "on")),
            Need::Persistence => self.driver == "memory",
            Need::DeviceNodes | Need::PrivilegedXattrs => self.place != Place::Here,
            Need::Owners => self.place == Place::OneId,
            Need::Acls | Need::UserXattrs => false,
        };
        case.needs.iter().any(excused)
    }
}
