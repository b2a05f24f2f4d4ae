//! Devices coming and going.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{fs::minor, io::Errno};
use storage_driver::{Error, Result};
use storage_sys::dm::{Control, Device, SECTOR, Target, node};

/// How long a device that is busy is tried again: udev, a scanner or a process that is just ending may have it open.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// All names of devices of ours start so.
const PREFIX: &str = "harness-";

/// How the devices of one root are called.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
}

impl Names {
    pub fn new(identity: &str) -> Self {
        Self { prefix: format!("{PREFIX}{identity}-") }
    }

    pub fn pool(&self) -> String {
        self.part("pool")
    }

    pub fn part(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    pub fn thin(&self, number: u32) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The number of a thin device of ours, by its name.
    pub fn number(&self, name: &str) -> Option<u32> {
        name.strip_prefix(&self.prefix)?.parse().ok()
    }

    pub fn is_ours(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }
}

/// A device that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    pub node: PathBuf,
    pub dev: u64,
}

impl Active {
    /// The kernel's name of it, as below /sys.
    pub fn kernel_name(&self) -> String {
        format!("dm-{}", minor(self.dev))
    }
}

/// The devices of one root.
#[derive(Debug)]
pub struct Activation {
    pub control: Control,
    pub names: Names,
    gates: Mutex<BTreeMap<u32, Arc<Mutex<()>>>>,
}

impl Activation {
    pub fn new(control: Control, names: Names) -> Self {
        Self { control, names, gates: Mutex::default() }
    }

    /// Runs `work` while nobody else activates, deactivates or snapshots this thin device.
    pub fn exclusively<T>(&self, number: u32, work: impl FnOnce() -> T) -> T {
        let gate = self.gates.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default().clone();
        let _held = gate.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    pub fn forget(&self, number: u32) {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Makes a device and puts its table to work.
    pub fn make(&self, name: &str, table: &[Target], read_only: bool) -> Result<Active> {
        let control = &self.control;
        // The uuid only has to be there and to be the device's own: the name is both.
        control.create(name, name).map_err(failed("create", name))?;
        let start = || {
            control.load(name, table, read_only)?;
            control.resume(name)
        };
        let active = start().map_err(failed("activate", name)).and_then(|device| self.active(name, device.dev));
        active.inspect_err(|_| _ = control.remove(name))
    }

    fn active(&self, name: &str, dev: u64) -> Result<Active> {
        let node = node::of(name, dev).map_err(failed("make a node for", name))?;
        Ok(Active { node, dev })
    }

    /// Activates a thin device; one that is still there, since a file on it is open, is taken as it is. One without a table
    /// is what an activation that failed has left.
    pub fn activate(&self, number: u32, pool: u64, sectors: u64, read_only: bool) -> Result<Active> {
        let name = self.names.thin(number);
        let there = self.find(&name)?;
        if there.is_some_and(|device| !device.active_table) && !self.remove(&name, PATIENCE)? {
            return Err(failed("activate", &name)(Errno::BUSY.into()));
        }
        if let Some(device) = there.filter(|device| device.active_table) {
            let kept = if device.deferred_remove { self.control.keep(&name) } else { Ok(()) };
            match kept {
                Ok(()) => return self.active(&name, device.dev),
                // Its last user was quicker.
                Err(error) if is(&error, Errno::NXIO) => {}
                Err(error) => return Err(failed("keep", &name)(error)),
            }
        }
        let table = Target::whole(sectors, "thin", format!("{} {number}", node::number(pool)));
        self.make(&name, &[table], read_only)
    }

    pub fn find(&self, name: &str) -> Result<Option<Device>> {
        self.control.find(name).map_err(failed("examine", name))
    }

    /// The node of a thin device that is there, and that nobody uses.
    pub fn idle(&self, number: u32) -> Result<Option<PathBuf>> {
        let name = self.names.thin(number);
        let found = self.find(&name)?.filter(|device| device.active_table && device.open_count == 0);
        found.map(|device| self.active(&name, device.dev).map(|active| active.node)).transpose()
    }

    /// Deactivates a thin device, or has the kernel do that when its last user is gone; whether it is gone now.
    pub fn deactivate(&self, number: u32) -> Result<bool> {
        let name = self.names.thin(number);
        if self.remove(&name, PATIENCE)? {
            return Ok(true);
        }
        match self.control.remove_deferred(&name) {
            Ok(()) => Ok(self.find(&name)?.is_none()),
            Err(error) if is(&error, Errno::NXIO) => Ok(true),
            Err(error) => Err(failed("deactivate", &name)(error)),
        }
    }

    /// Removes a device, tried again for as long as `patience` lasts; whether it is gone.
    pub fn remove(&self, name: &str, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(1);
        loop {
            match self.control.remove(name) {
                Ok(()) => {
                    node::forget(name).map_err(failed("remove the node of", name))?;
                    return Ok(true);
                }
                Err(error) if is(&error, Errno::NXIO) => return Ok(true),
                Err(error) if !is(&error, Errno::BUSY) => return Err(failed("remove", name)(error)),
                Err(_) if Instant::now() >= deadline => return Ok(false),
                Err(_) => {}
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Our devices that are there now: thin ones first, then what they stand on, from above.
    pub fn ours(&self) -> Result<Vec<(String, u64)>> {
        let all = self.control.devices().map_err(failed("list", "devices"))?;
        let mut ours: Vec<_> = all.into_iter().filter(|(name, _)| self.names.is_ours(name)).collect();
        let pool = self.names.pool();
        ours.sort_by_key(|(name, _)| (self.names.number(name).is_none(), *name != pool));
        Ok(ours)
    }
}

pub fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// An error about a device, by its name.
pub fn failed(op: &'static str, name: &str) -> impl FnOnce(io::Error) -> Error {
    Error::io(op, format!("/dev/mapper/{name}"))
}

/// How many sectors hold this many bytes.
pub const fn sectors(bytes: u64) -> u64 {
    bytes / SECTOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_a_device_is() {
        let names = Names::new("00ff");
        assert_eq!(names.thin(7), "harness-00ff-7");
        assert_eq!(names.number("harness-00ff-7"), Some(7));
        assert_eq!(names.number("harness-00ff-pool"), None);
        assert!(names.is_ours("harness-00ff-pool") && !names.is_ours("harness-00fe-7"));
    }
}
