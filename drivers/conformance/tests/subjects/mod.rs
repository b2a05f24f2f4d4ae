//! Which drivers are examined, and where.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use driver_conformance::{Case, Need, Opener, Subject};
use storage_driver::{Result, StorageDriver};

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
}

/// All of them. The model comes first: where it fails, the suite is wrong.
pub fn targets() -> Vec<Target> {
    let here = |driver, variant, options| Target { driver, options, variant, place: Place::Here };
    let away = |driver, variant, place| Target { driver, options: &[], variant, place };
    vec![
        here("memory", "", &[]),
        here("vfs", "", &[]),
        here("overlay2", "", &[]),
        here("overlay2", "-legacy", &[("mount_api", "legacy"), ("sync", "off")]),
        here("overlay2", "-redirect", &[("redirect_dir", "on"), ("sync", "off")]),
        here("overlay2", "-metacopy", &[("metacopy", "on"), ("sync", "off")]),
        away("vfs", "-userns", Place::ManyIds),
        away("overlay2", "-userns", Place::ManyIds),
        away("overlay2", "-oneid", Place::OneId),
    ]
}

impl Target {
    pub fn full_name(self) -> String {
        format!("privileged_{}{}", self.driver, self.variant)
    }

    pub fn subject(self) -> Box<dyn Subject> {
        let name = format!("{}{}", self.driver, self.variant);
        let options: BTreeMap<String, String> =
            self.options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match self.driver {
            "memory" => Box::new(driver_conformance::memory()),
            "vfs" => Box::new(Opener::new(name, move |root: &Path| -> Result<Arc<dyn StorageDriver>> {
                Ok(Arc::new(driver_vfs::Vfs::open(root, driver_vfs::Options::from_pairs(root, &options)?)?))
            })),
            "overlay2" => Box::new(Opener::new(name, move |root: &Path| -> Result<Arc<dyn StorageDriver>> {
                let options = driver_overlay2::Options::from_pairs(root, &options)?;
                Ok(Arc::new(driver_overlay2::Overlay2::open(root, options)?))
            })),
            other => unreachable!("{other} is in no target"),
        }
    }

    /// Whether a case may say that it does not apply: anything else that is left out is a failure, lest a broken
    /// probe empties the suite.
    pub fn may_lack(self, case: &Case) -> bool {
        let only_space_limits = self.driver != "overlay2" && case.name == "too-deep";
        let excused = |need: &Need| match need {
            // ext4 has project quotas only where it was made and mounted with them.
            Need::SizeLimit => true,
            Need::Persistence => self.driver == "memory",
            Need::DeviceNodes | Need::PrivilegedXattrs => self.place != Place::Here,
            Need::Owners => self.place == Place::OneId,
            Need::Acls | Need::UserXattrs => false,
        };
        only_space_limits || case.needs.iter().any(excused)
    }
}
