//! Limits of a container, in the specification's form.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxCpu, LinuxCpuBuilder, LinuxDevice, LinuxDeviceType, LinuxMemory,
    LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder, LinuxThrottleDevice,
    LinuxThrottleDeviceBuilder,
};

use super::{ContainerConfig, Throttle, devices, spec::invalid};
use crate::{Error, Result};

/// Microseconds of a period of cpu bandwidth control, docker's choice.
const CPU_PERIOD: u64 = 100_000;

/// Docker's minimum of memory: with less the kernel kills what is to start the container, and says nothing.
const LEAST_MEMORY: u64 = 6 << 20;

/// The limits, and what the container may do with `own` and other devices.
pub(super) fn resources(config: &ContainerConfig, own: &[LinuxDevice]) -> Result<LinuxResources> {
    let mut builder = LinuxResourcesBuilder::default().devices(devices::rules(config, own)?);
    if let Some(memory) = memory(config)? {
        builder = builder.memory(memory);
    }
    if let Some(cpu) = cpu(config)? {
        builder = builder.cpu(cpu);
    }
    if let Some(block_io) = block_io(config)? {
        builder = builder.block_io(block_io);
    }
    if let Some(pids) = config.pids_limit {
        let limits = LinuxPidsBuilder::default().limit(signed("pids-limit", pids)?);
        builder = builder.pids(limits.build().map_err(invalid)?);
    }
    builder.build().map_err(invalid)
}

fn block_io(config: &ContainerConfig) -> Result<Option<LinuxBlockIo>> {
    let mut limits = LinuxBlockIoBuilder::default();
    if let Some(weight) = config.blkio_weight {
        if !(10..=1000).contains(&weight) {
            return Err(Error::invalid(format!("blkio-weight {weight}"), "it has to be 10 to 1000"));
        }
        limits = limits.weight(weight);
    }
    let throttles = |read: bool, operations: bool| -> Result<Option<Vec<LinuxThrottleDevice>>> {
        let asked = config.throttles.iter().filter(|limit| (limit.read, limit.operations) == (read, operations));
        let found = asked.map(throttle).collect::<Result<Vec<_>>>()?;
        Ok(Some(found).filter(|found| !found.is_empty()))
    };
    let mut limits = limits.build().map_err(invalid)?;
    limits.set_throttle_read_bps_device(throttles(true, false)?);
    limits.set_throttle_write_bps_device(throttles(false, false)?);
    limits.set_throttle_read_iops_device(throttles(true, true)?);
    limits.set_throttle_write_iops_device(throttles(false, true)?);
    Ok((limits != LinuxBlockIo::default()).then_some(limits))
}

fn throttle(limit: &Throttle) -> Result<LinuxThrottleDevice> {
    let device = devices::node(&limit.device, &limit.device)?;
    if device.typ() != LinuxDeviceType::B {
        return Err(Error::invalid(limit.device.display().to_string(), "it is no block device"));
    }
    let builder = LinuxThrottleDeviceBuilder::default().major(device.major()).minor(device.minor()).rate(limit.rate);
    builder.build().map_err(invalid)
}

fn signed(what: &str, n: u64) -> Result<i64> {
    i64::try_from(n).map_err(|_| Error::invalid(format!("{what} {n}"), "too large"))
}

fn memory(config: &ContainerConfig) -> Result<Option<LinuxMemory>> {
    let mut limits = LinuxMemoryBuilder::default();
    if let Some(memory) = config.memory {
        if memory < LEAST_MEMORY {
            let why = "that is too little; the minimum is 6 MiB, as docker's";
            return Err(Error::invalid(format!("memory {memory}"), why));
        }
        let swap = config.memory_swap.unwrap_or(memory.saturating_mul(2));
        limits = limits.limit(signed("memory", memory)?).swap(signed("memory-swap", swap)?);
    }
    if let Some(reservation) = config.memory_reservation {
        limits = limits.reservation(signed("memory-reservation", reservation)?);
    }
    if let Some(swappiness) = config.memory_swappiness {
        if swappiness > 100 {
            return Err(Error::invalid(format!("memory-swappiness {swappiness}"), "it has to be 0 to 100"));
        }
        limits = limits.swappiness(swappiness);
    }
    if config.oom_kill_disable {
        limits = limits.disable_oom_killer(true);
    }
    let limits = limits.build().map_err(invalid)?;
    Ok((limits != LinuxMemory::default()).then_some(limits))
}

fn cpu(config: &ContainerConfig) -> Result<Option<LinuxCpu>> {
    let mut limits = LinuxCpuBuilder::default();
    if let Some(cpus) = config.cpus {
        if !(0.01..=1e6).contains(&cpus) {
            return Err(Error::invalid(format!("cpus {cpus}"), "it has to be 0.01 at least"));
        }
        limits = limits.quota((cpus * CPU_PERIOD as f64).round() as i64).period(CPU_PERIOD);
    }
    if let Some(period) = config.cpu_period {
        limits = limits.period(period);
    }
    if let Some(quota) = config.cpu_quota {
        limits = limits.quota(quota);
    }
    if let Some(shares) = config.cpu_shares {
        limits = limits.shares(shares);
    }
    if let Some(cpus) = &config.cpuset_cpus {
        limits = limits.cpus(cpus);
    }
    if let Some(mems) = &config.cpuset_mems {
        limits = limits.mems(mems);
    }
    let limits = limits.build().map_err(invalid)?;
    Ok((limits != LinuxCpu::default()).then_some(limits))
}
