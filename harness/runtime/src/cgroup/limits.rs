//! `linux.resources` as what is to be written to which file of a cgroup.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources, LinuxThrottleDevice, Spec};

use super::{
    Cgroup, failed,
    hierarchy::{Controller, Hierarchy},
};
use crate::{Error, Result};

/// The kernel's default for the period of cpu bandwidth control, in microseconds.
const PERIOD_US: u64 = 100_000;

/// Limits as far as they are set, in the order in which they are written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits(Vec<Setting>);

/// A value for one of these files: the first that is there.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    controller: Controller,
    files: Vec<String>,
    value: String,
    /// Whether a kernel without the file has nothing that needs the limit.
    optional: bool,
}

impl Limits {
    pub(super) fn of(spec: &Spec, hierarchy: Hierarchy) -> Result<Self> {
        let mut limits = Self::default();
        let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
        let Some(resources) = resources else { return Ok(limits) };
        if let Some(memory) = resources.memory() {
            limits.memory(memory, hierarchy)?;
        }
        if let Some(cpu) = resources.cpu() {
            limits.cpu(cpu, hierarchy);
        }
        if let Some(pids) = positive(resources.pids().as_ref().map(LinuxPids::limit)) {
            limits.set(Controller::Pids, "pids.max", pids);
        }
        if let Some(block_io) = resources.block_io() {
            limits.block_io(block_io, hierarchy);
        }
        limits.unified(resources, hierarchy)?;
        Ok(limits)
    }

    pub(super) fn controllers(&self) -> impl Iterator<Item = Controller> {
        self.0.iter().map(|setting| setting.controller)
    }

    fn set(&mut self, controller: Controller, file: &str, value: impl ToString) {
        self.set_first(controller, &[file], value, false);
    }

    fn set_first(&mut self, controller: Controller, files: &[&str], value: impl ToString, optional: bool) {
        let files = files.iter().map(|&file| file.to_owned()).collect();
        self.0.push(Setting { controller, files, value: value.to_string(), optional });
    }

    fn memory(&mut self, memory: &LinuxMemory, hierarchy: Hierarchy) -> Result<()> {
        let (limit, both) = (positive(memory.limit()), positive(memory.swap()));
        if limit.is_none() && both.is_some() {
            return Err(Error::invalid("linux.resources.memory.swap", "it needs a limit of memory too"));
        }
        if both.is_some_and(|both| limit.is_some_and(|limit| both < limit)) {
            let why = "it counts memory too, so it cannot be below its limit";
            return Err(Error::invalid("linux.resources.memory.swap", why));
        }
        let reservation = positive(memory.reservation());
        if limit.is_some_and(|limit| reservation.is_some_and(|reservation| reservation > limit)) {
            return Err(Error::invalid("linux.resources.memory.reservation", "it is above the limit of memory"));
        }
        let of = Controller::Memory;
        let names = match hierarchy {
            Hierarchy::One => ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes"],
            Hierarchy::Two => ["memory.max", "memory.swap.max", "memory.low"],
        };
        if let Some(limit) = limit {
            self.set(of, names[0], limit);
            if let Some(both) = both {
                let value = if hierarchy == Hierarchy::One { both } else { both - limit };
                // There without CONFIG_SWAP, or with swapaccount=0, is no such file and nothing to swap to.
                self.set_first(of, &[names[1]], value, true);
            }
        }
        if let Some(reservation) = reservation {
            self.set(of, names[2], reservation);
        }
        if let Some(swappiness) = memory.swappiness() {
            only_on_one(hierarchy, "swappiness")?;
            self.set(of, "memory.swappiness", swappiness);
        }
        if memory.disable_oom_killer().unwrap_or(false) {
            only_on_one(hierarchy, "killing for want of memory")?;
            self.set(of, "memory.oom_control", 1);
        }
        Ok(())
    }

    fn cpu(&mut self, cpu: &LinuxCpu, hierarchy: Hierarchy) {
        let of = Controller::Cpu;
        let quota = positive(cpu.quota());
        let period = cpu.period().unwrap_or(PERIOD_US);
        match hierarchy {
            Hierarchy::One => {
                if quota.is_some() || cpu.period().is_some() {
                    self.set(of, "cpu.cfs_period_us", period);
                }
                if let Some(quota) = quota {
                    self.set(of, "cpu.cfs_quota_us", quota);
                }
            }
            Hierarchy::Two if quota.is_some() || cpu.period().is_some() => {
                let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
                self.set(of, "cpu.max", format!("{quota} {period}"));
            }
            Hierarchy::Two => {}
        }
        if let Some(burst) = cpu.burst() {
            self.set_first(of, &["cpu.cfs_burst_us", "cpu.max.burst"], burst, false);
        }
        match (cpu.shares().filter(|&shares| shares > 0), hierarchy) {
            (Some(shares), Hierarchy::One) => self.set(of, "cpu.shares", shares),
            (Some(shares), Hierarchy::Two) => self.set(of, "cpu.weight", weight_of_shares(shares)),
            (None, _) => {}
        }
        if let Some(idle) = cpu.idle() {
            self.set(of, "cpu.idle", idle);
        }
        for (file, list) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
            if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
                self.set(Controller::CpuSet, file, list);
            }
        }
    }

    fn block_io(&mut self, block_io: &LinuxBlockIo, hierarchy: Hierarchy) {
        let of = Controller::BlockIo;
        if let Some(weight) = block_io.weight().filter(|&weight| weight > 0) {
            match hierarchy {
                Hierarchy::One => self.set_first(of, &["blkio.weight", "blkio.bfq.weight"], weight, false),
                Hierarchy::Two => {
                    // From 10..1000 to 1..10000 (Documentation/admin-guide/cgroup-v2.rst, io.weight).
                    let scaled = 1 + u64::from(weight.max(10) - 10) * 9999 / 990;
                    self.set(of, "io.weight", scaled);
                }
            }
        }
        let throttles: [(&Option<Vec<LinuxThrottleDevice>>, &str, &str); 4] = [
            (block_io.throttle_read_bps_device(), "blkio.throttle.read_bps_device", "rbps"),
            (block_io.throttle_write_bps_device(), "blkio.throttle.write_bps_device", "wbps"),
            (block_io.throttle_read_iops_device(), "blkio.throttle.read_iops_device", "riops"),
            (block_io.throttle_write_iops_device(), "blkio.throttle.write_iops_device", "wiops"),
        ];
        for (devices, file, key) in throttles {
            for device in devices.iter().flatten() {
                let number = format!("{}:{}", device.major(), device.minor());
                match hierarchy {
                    Hierarchy::One => self.set(of, file, format!("{number} {}", device.rate())),
                    Hierarchy::Two => self.set(of, "io.max", format!("{number} {key}={}", device.rate())),
                }
            }
        }
    }

    fn unified(&mut self, resources: &LinuxResources, hierarchy: Hierarchy) -> Result<()> {
        let mut settings: Vec<_> = resources.unified().iter().flatten().collect();
        settings.sort();
        for (file, value) in settings {
            let what = || format!("linux.resources.unified {file}");
            if hierarchy == Hierarchy::One {
                return Err(Error::invalid(what(), "this host has cgroups of version 1"));
            }
            let known = Controller::ALL.into_iter().find(|controller| {
                let name = controller.name(hierarchy);
                file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')) && !file.contains('/')
            });
            let Some(controller) = known else {
                return Err(Error::invalid(what(), "it is no file of a controller that containers have here"));
            };
            self.set(controller, file, value);
        }
        Ok(())
    }

    /// Writes the limits to the files of `cgroup`, which has others already.
    pub(super) fn replace(mut self, cgroup: &Cgroup) -> Result<()> {
        if let Some(missing) = self.controllers().find(|controller| cgroup.directory(*controller).is_none()) {
            let why = "the container was started without such a limit and is not counted there; stop it, set the limit, \
                       and start it again";
            return Err(Error::Limit { what: missing.what(), why: why.to_owned() });
        }
        // Of memory and swap together never less may be allowed than of memory alone, so it hangs on the old limits which of the
        // two comes first (Documentation/admin-guide/cgroup-v1/memory.rst).
        if self.write(cgroup).is_ok() {
            return Ok(());
        }
        self.0.reverse();
        self.write(cgroup)
    }

    /// Writes the limits to the files of `cgroup`.
    pub(super) fn write(&self, cgroup: &Cgroup) -> Result<()> {
        for Setting { controller, files, value, optional } in &self.0 {
            let Some(directory) = cgroup.directory(*controller) else { continue };
            match files.iter().map(|file| directory.join(file)).find(|path| path.exists()) {
                Some(path) => std::fs::write(&path, value).map_err(failed("write", &path))?,
                None if *optional => {}
                None => {
                    let path = directory.join(files.first().map_or("", String::as_str));
                    let why = format!("this kernel has no {}; start without this limit", path.display());
                    return Err(Error::Limit { what: controller.what(), why });
                }
            }
        }
        Ok(())
    }
}

/// -1 is the specification's word for no limit.
fn positive(value: Option<i64>) -> Option<u64> {
    value.and_then(|value| u64::try_from(value).ok()).filter(|&value| value > 0)
}

/// The weight of version 2 for the shares of version 1, from 2..262144 to 1..10000, as other runtimes have it.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn only_on_one(hierarchy: Hierarchy, what: &'static str) -> Result<()> {
    match hierarchy {
        Hierarchy::One => Ok(()),
        Hierarchy::Two => {
            let why = "cgroups of version 2, which this host has, cannot do that; start without it".to_owned();
            Err(Error::Limit { what, why })
        }
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxBuilder, LinuxResources, SpecBuilder};

    use super::*;

    fn limits(json: &str, hierarchy: Hierarchy) -> Result<Vec<String>> {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        let spec = SpecBuilder::default().linux(LinuxBuilder::default().resources(resources).build().unwrap());
        let Limits(settings) = Limits::of(&spec.build().unwrap(), hierarchy)?;
        Ok(settings.iter().map(|setting| format!("{}={}", setting.files.join("|"), setting.value)).collect())
    }

    #[test]
    fn resources_become_files_of_both_versions() {
        let table = [
            (
                r#"{"memory":{"limit":100,"swap":150}}"#,
                "memory.limit_in_bytes=100,memory.memsw.limit_in_bytes=150",
                "memory.max=100,memory.swap.max=50",
            ),
            (r#"{"memory":{"limit":-1,"swap":-1}}"#, "", ""),
            (r#"{"memory":{"reservation":9}}"#, "memory.soft_limit_in_bytes=9", "memory.low=9"),
            (r#"{"cpu":{"quota":5,"period":10}}"#, "cpu.cfs_period_us=10,cpu.cfs_quota_us=5", "cpu.max=5 10"),
            (r#"{"cpu":{"shares":1024}}"#, "cpu.shares=1024", "cpu.weight=39"),
            (r#"{"cpu":{"shares":262144}}"#, "cpu.shares=262144", "cpu.weight=10000"),
            (r#"{"cpu":{"cpus":"0-1","mems":"0"}}"#, "cpuset.cpus=0-1,cpuset.mems=0", "cpuset.cpus=0-1,cpuset.mems=0"),
            (r#"{"blockIO":{"weight":500}}"#, "blkio.weight|blkio.bfq.weight=500", "io.weight=4950"),
            (
                r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":7}]}}"#,
                "blkio.throttle.read_bps_device=8:0 7",
                "io.max=8:0 rbps=7",
            ),
            (r#"{"pids":{"limit":7}}"#, "pids.max=7", "pids.max=7"),
        ];
        for (json, one, two) in table {
            assert_eq!(limits(json, Hierarchy::One).unwrap().join(","), one, "{json}");
            assert_eq!(limits(json, Hierarchy::Two).unwrap().join(","), two, "{json}");
        }
    }

    #[test]
    fn what_only_one_version_has_is_refused_on_the_other() {
        for json in [r#"{"memory":{"swappiness":1}}"#, r#"{"memory":{"disableOOMKiller":true}}"#] {
            assert!(limits(json, Hierarchy::One).is_ok() && limits(json, Hierarchy::Two).is_err(), "{json}");
        }
        let unified = r#"{"unified":{"memory.high":"5"}}"#;
        assert_eq!(limits(unified, Hierarchy::Two).unwrap(), ["memory.high=5"]);
        assert!(limits(unified, Hierarchy::One).is_err());
        for file in ["../memory.high", "memory", "rdma.max", "memory.x/../y"] {
            assert!(limits(&format!(r#"{{"unified":{{"{file}":"5"}}}}"#), Hierarchy::Two).is_err(), "{file}");
        }
    }
}
