//! One phase of a workload between two readings of everything that counts.

use std::{
    ops::AddAssign,
    time::{Duration, Instant},
};

use storage_driver::{LayerId, StorageDriver, Usage};

use crate::{DeviceCounters, Engine, Error, Measurement, Processor, Quantity, Recorder, Result};

/// Which cell a number belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell<'a> {
    /// What tells it from others of the workload: names and values.
    pub(crate) params: &'a [(&'a str, &'a str)],
    /// Part of the workload.
    pub(crate) phase: &'a str,
}

impl Cell<'_> {
    /// Records one number of this cell.
    pub(crate) fn put(&self, recorder: &mut dyn Recorder, metric: &str, quantity: Quantity) -> Result<()> {
        recorder.record(&Measurement { params: self.params, phase: self.phase, metric, quantity })
    }

    /// Does `work`, and records what it cost: `wall` and `cpu` of the work itself, `sync` until it was on the device,
    /// and what the device and the processor counted.
    pub(crate) fn measure<T>(
        &self,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
        work: impl FnOnce(&mut dyn Engine) -> Result<T>,
    ) -> Result<T> {
        let (done, cost) = metered(engine, work)?;
        self.put_cost(recorder, &cost)?;
        Ok(done)
    }

    /// Records all of a cost.
    pub(crate) fn put_cost(&self, recorder: &mut dyn Recorder, cost: &Cost) -> Result<()> {
        self.put(recorder, "wall", Quantity::Time(cost.wall))?;
        self.put(recorder, "cpu", Quantity::Time(cost.processor.cpu))?;
        if let Some(syscalls) = cost.processor.syscalls {
            self.put(recorder, "syscalls", Quantity::Count(syscalls))?;
        }
        if let Some(device) = cost.device {
            self.put(recorder, "sync", Quantity::Time(cost.sync))?;
            self.put_device(recorder, device)?;
        }
        Ok(())
    }

    /// Records what the device did.
    pub(crate) fn put_device(&self, recorder: &mut dyn Recorder, device: DeviceCounters) -> Result<()> {
        self.put(recorder, "device_read_bytes", Quantity::Bytes(device.read))?;
        self.put(recorder, "device_written_bytes", Quantity::Bytes(device.written))?;
        self.put(recorder, "device_reads", Quantity::Count(device.reads))?;
        self.put(recorder, "device_writes", Quantity::Count(device.writes))?;
        self.put(recorder, "device_flushes", Quantity::Count(device.flushes))
    }
}

impl Cell<'_> {
    /// Records what a layer has come to hold between two looks at it.
    pub(crate) fn put_growth(&self, recorder: &mut dyn Recorder, before: Usage, after: Usage) -> Result<()> {
        let (old, new) = (before.copied_up, after.copied_up);
        self.put(recorder, "copied_up_files", Quantity::Count(new.files.saturating_sub(old.files)))?;
        self.put(recorder, "copied_up_bytes", Quantity::Bytes(new.bytes - old.bytes))?;
        self.put(recorder, "allocated_bytes", Quantity::Bytes(after.exclusive - before.exclusive))
    }
}

impl Cell<'_> {
    /// Records what layers hold that were made for this cell, all together.
    pub(crate) fn put_layers(
        &self,
        recorder: &mut dyn Recorder,
        driver: &dyn StorageDriver,
        layers: &[LayerId],
    ) -> Result<()> {
        let mut all = Usage::default();
        for layer in layers {
            let one = driver.usage(layer)?;
            all.exclusive += one.exclusive;
            all.copied_up.files += one.copied_up.files;
            all.copied_up.bytes += one.copied_up.bytes;
        }
        self.put_growth(recorder, Usage::default(), all)
    }
}

/// [`Error::Stopped`] once the user has asked to stop.
pub(crate) fn unless_stopped(engine: &dyn Engine) -> Result<()> {
    if engine.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
}

/// What some work cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// The work itself.
    pub(crate) wall: Duration,
    /// From its end until everything was on the device.
    pub(crate) sync: Duration,
    /// The device, syncing included; `None` where the driver has no device of its own.
    pub(crate) device: Option<DeviceCounters>,
    /// This process and its children.
    pub(crate) processor: Processor,
}

impl AddAssign for Cost {
    /// Of pieces of work that were metered one by one.
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.sync += other.sync;
        self.device = match (self.device, other.device) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        self.processor = self.processor + other.processor;
    }
}

/// Does `work` between two syncs and two readings.
pub(crate) fn metered<T>(
    engine: &mut dyn Engine,
    work: impl FnOnce(&mut dyn Engine) -> Result<T>,
) -> Result<(T, Cost)> {
    let device = engine.counters()?;
    let processor = engine.processor()?;
    let started = Instant::now();
    let done = work(&mut *engine)?;
    let wall = started.elapsed();
    let processor = engine.processor()? - processor;
    let syncing = Instant::now();
    let after = engine.counters()?;
    let sync = syncing.elapsed();
    let device = after.zip(device).map(|(after, before)| after - before);
    Ok((done, Cost { wall, sync, device, processor }))
}
