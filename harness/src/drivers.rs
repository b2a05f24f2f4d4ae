//! The drivers, by name. A new driver is one line in [`DRIVERS`].

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use harness_testbed::FileSystem;
use storage_driver::{LayerId, StorageDriver};

use crate::{
    failure::{Failure, Result},
    nearest,
    place::Place,
    say,
};

/// Options as given, `metacopy=on`; what they mean is the driver's business.
pub type Options = BTreeMap<String, String>;

type Open = fn(&Path, &Options) -> storage_driver::Result<Arc<dyn StorageDriver>>;

/// How long an engine command waits for its turn where another one has the driver's root; most take less.
const PATIENCE: Duration = Duration::from_secs(300);
/// After this long the user is told who is waited for.
const SILENCE: Duration = Duration::from_secs(1);

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub about: &'static str,
    /// The file system that it needs, or that it is at its best on: testbeds have it unless another one is asked for.
    pub file_system: Option<FileSystem>,
    /// With which it takes little room, where disks are small.
    small: &'static [(&'static str, &'static str)],
    open: Open,
    directories: Directories,
}

/// Where a driver has a layer, by docker's names for that, without opening its root.
type Directories = fn(&Path, &LayerId) -> storage_driver::Result<Vec<(&'static str, String)>>;

/// All drivers of this program, in the order in which a default is looked for.
pub const DRIVERS: &[Entry] = &[
    Entry {
        name: "overlay2",
        aliases: &["overlay", "overlayfs"],
        about: "overlayfs: layers are stacked by a union mount, whole files are copied up on first write",
        file_system: None,
        small: &[],
        open: |root, options| {
            Ok(Arc::new(driver_overlay2::Overlay2::open(root, driver_overlay2::Options::from_pairs(root, options)?)?))
        },
        directories: driver_overlay2::directories,
    },
    Entry {
        name: "vfs",
        aliases: &[],
        about: "a full copy of the parent for every layer",
        file_system: None,
        small: &[],
        open: |root, options| {
            Ok(Arc::new(driver_vfs::Vfs::open(root, driver_vfs::Options::from_pairs(root, options)?)?))
        },
        directories: |_, _| Ok(Vec::new()),
    },
    Entry {
        name: "btrfs",
        aliases: &[],
        about: "btrfs subvolumes: a layer is a snapshot of its parent, blocks are shared until they are written",
        file_system: Some(FileSystem::Btrfs),
        small: &[],
        open: |root, options| {
            Ok(Arc::new(driver_btrfs::Btrfs::open(root, driver_btrfs::Options::from_pairs(root, options)?)?))
        },
        directories: |_, _| Ok(Vec::new()),
    },
    Entry {
        name: "devicemapper",
        aliases: &["devicemapper-thin", "dm-thin"],
        about: "device-mapper thin provisioning: a layer is a file system on a snapshot of its parent's device",
        file_system: Some(FileSystem::Raw),
        small: &[("data_size", "64M"), ("base_size", "48M"), ("metadata_size", "4M")],
        open: |root, options| {
            let options = driver_devicemapper::Options::from_pairs(root, options)?;
            Ok(Arc::new(driver_devicemapper::DeviceMapper::open(root, options)?))
        },
        directories: |_, _| Ok(Vec::new()),
    },
];

/// The names for help texts and error messages.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    DRIVERS.iter().map(|entry| entry.name)
}

/// The entry with this name or alias.
pub fn find(name: &str) -> Result<&'static Entry> {
    if let Some(entry) = DRIVERS.iter().find(|entry| entry.name == name || entry.aliases.contains(&name)) {
        return Ok(entry);
    }
    Err(Failure::usage(nearest::unknown("driver", name, names())))
}

/// Which drivers `--driver` asks for.
#[derive(Debug)]
pub struct Choice {
    pub entries: Vec<&'static Entry>,
    /// `all`: those that cannot run here are left out and named, which is no failure.
    pub all: bool,
}

/// Reads `overlay2,vfs` or `all`.
pub fn choose(asked: &[String]) -> Result<Choice> {
    let mut entries: Vec<&'static Entry> = Vec::new();
    let mut all = false;
    for name in asked.iter().flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
        let named = if name == "all" {
            all = true;
            DRIVERS.iter().collect()
        } else {
            vec![find(name)?]
        };
        for entry in named {
            if !entries.iter().any(|known| known.name == entry.name) {
                entries.push(entry);
            }
        }
    }
    if entries.is_empty() {
        return Err(Failure::usage(format!(
            "name a driver: --driver {}, several with commas, or all",
            names().collect::<Vec<_>>().join("|")
        )));
    }
    Ok(Choice { entries, all })
}

impl Entry {
    /// Opens the driver on a root of its own.
    pub fn open(&self, root: &Path, options: &Options) -> storage_driver::Result<Arc<dyn StorageDriver>> {
        (self.open)(root, options)
    }

    /// Where the engine's driver has a layer, by docker's names; what it has no names for is left out.
    pub fn directories(&self, place: &Place, layer: &LayerId) -> storage_driver::Result<Vec<(&'static str, String)>> {
        (self.directories)(&place.driver(self.name), layer)
    }

    /// Opens the driver where it is the engine's, whose commands have its root one after the other.
    pub fn open_in_turn(&self, place: &Place, options: &Options) -> storage_driver::Result<Arc<dyn StorageDriver>> {
        let started = Instant::now();
        let mut told = false;
        loop {
            match self.open(&place.driver(self.name), options) {
                Err(storage_driver::Error::Locked { root, holder }) if started.elapsed() < PATIENCE => {
                    if !told && started.elapsed() > SILENCE {
                        say(&format!("waiting for {holder}, which has {} open", root.display()));
                        told = true;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                answer => return answer,
            }
        }
    }

    /// The options with what it takes to need little room; what was asked for stays.
    pub fn on_a_small_disk(&self, options: &Options) -> Options {
        let small = self.small.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        small.chain(options.clone()).collect()
    }

    /// Tries the driver below `scratch` and takes the trial away again; the error says why it cannot run.
    pub fn try_out(&self, scratch: &Path) -> storage_driver::Result<Arc<dyn StorageDriver>> {
        self.open(&scratch.join(self.name), &Options::new())
    }
}

/// Reads `--driver-opt name=value` pairs.
pub fn options(given: &[String]) -> Result<Options> {
    let pair = |option: &String| {
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--driver-opt takes NAME=VALUE, not {option:?}")))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}

/// Opens the driver that an engine command works on: the one asked for, else the first that works here.
pub fn open_one(place: &Place, asked: Option<&str>, given: &[String]) -> Result<Arc<dyn StorageDriver>> {
    let driver = open_asked(place, asked, &options(given)?)?;
    if !driver.was_at_rest() {
        // Here, since not every command looks at the images' layers, and the root is at rest after this one.
        harness_image::remove_unfinished(driver.as_ref())?;
    }
    Ok(driver)
}

fn open_asked(place: &Place, asked: Option<&str>, options: &Options) -> Result<Arc<dyn StorageDriver>> {
    if let Some(name) = asked {
        let entry = find(name)?;
        return Ok(entry.open_in_turn(place, options)?);
    }
    let mut reasons = Vec::new();
    for entry in DRIVERS {
        match entry.open_in_turn(place, options) {
            Ok(driver) => return Ok(driver),
            // Only a driver that cannot work here makes way for the next one.
            Err(storage_driver::Error::Unusable { why, .. }) => reasons.push(format!("{}: {why}", entry.name)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(anyhow!("no storage driver works on {}: {}", place.path().display(), reasons.join("; ")).into())
}
