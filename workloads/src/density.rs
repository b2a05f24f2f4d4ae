//! Many containers alive: what each of them takes, and whether the last one costs what the first did.

use std::time::{Duration, Instant};

use storage_driver::Bytes;

use crate::{
    Container, Engine, Error, Holdings, Param, Params, Quantity, Recorder, Result, Scratch, SharedContainers, Workload,
    measure::{Cell, metered},
};

/// The workload `density`.
#[derive(Debug)]
pub(crate) struct Density;

/// Alive at once; beyond, a machine's limits on processes and mounts decide.
const MOST: u64 = 1_000;

const STAY: [&str; 2] = ["sleep", "100000"];

impl Workload for Density {
    fn name(&self) -> &'static str {
        "density"
    }

    fn about(&self) -> &'static str {
        "many containers alive: memory, mounts and disk of each, and the time for the last of them"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("containers", "64", "8", "how many are alive in the end, up to 1000"),
            param("accounting", "yes", "yes", "yes: each in a cgroup that counts its memory; no: in none"),
            param("image", "host", "host", "what the containers are of; it needs sleep and true"),
        ]
    }

    fn setup(&self, params: &Params, _: u64, _: &Scratch) -> Result<()> {
        accounting(params)?;
        params.number("containers", 2..=MOST).map(drop)
    }

    fn prepare(&self, params: &Params, _: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        // What the first container of a process opens for all that follow is not theirs.
        let containers = engine.containers(params.text("image"))?;
        let mut crowd = Crowd::gather(engine, &containers, 1, accounting(params)?)?;
        crowd.check_alive()?;
        crowd.stop()?;
        crowd.remove()
    }

    fn run(&self, params: &Params, _: &Scratch, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
        let wanted = params.number("containers", 2..=MOST)?;
        let accounting = accounting(params)?;
        let containers = engine.containers(params.text("image"))?;
        let before = engine.holdings()?;
        let text = wanted.to_string();
        let all = [("containers", text.as_str())];
        let cell = |phase| Cell { params: &all, phase };
        let (mut crowd, cost) = metered(engine, |engine| Crowd::gather(engine, &containers, wanted, accounting))?;
        cell("start").put_cost(recorder, &cost)?;
        let held = engine.holdings()? - before;
        check_held(&crowd, held)?;
        let memory = crowd.memory()?;
        record_each(&crowd, memory.as_deref(), recorder)?;
        record_held(held, memory.as_deref(), &cell("alive"), recorder)?;
        crowd.check_alive()?;
        cell("stop").measure(engine, recorder, |_| crowd.stop())?;
        cell("remove").measure(engine, recorder, |_| crowd.remove())?;
        check_gone(before, engine.holdings()?)
    }

    fn conclude(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }

    fn cleanup(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }
}

fn accounting(params: &Params) -> Result<bool> {
    params.choice("accounting", &[("yes", true), ("no", false)])
}

/// Those who are alive, in the order in which they were started.
#[derive(Debug, Default)]
struct Crowd {
    alive: Vec<Box<dyn Container>>,
    /// From nothing to a running program, each.
    times: Vec<Duration>,
    /// What the machine had available after each.
    available: Vec<Bytes>,
}

impl Crowd {
    /// One after the other, so that the time of each is its own.
    fn gather(engine: &mut dyn Engine, containers: &SharedContainers, wanted: u64, accounting: bool) -> Result<Self> {
        let mut crowd = Self::default();
        for _ in 0..wanted {
            if engine.is_stopped() {
                return Err(Error::Stopped);
            }
            let started = Instant::now();
            let mut container = containers.create()?;
            container.mount()?;
            container.start(&STAY, accounting)?;
            crowd.times.push(started.elapsed());
            crowd.alive.push(container);
            crowd.available.extend(engine.memory_available()?);
        }
        Ok(crowd)
    }

    /// The first and the last, which the others may have harmed.
    fn check_alive(&self) -> Result<()> {
        for container in self.alive.first().into_iter().chain(self.alive.last()) {
            let status = container.exec(&["true"])?.status;
            if status != 0 {
                return Err(Error::effect("a program in one of many containers", "status 0", status));
            }
        }
        Ok(())
    }

    /// What the cgroup of each counts, if they have any.
    fn memory(&self) -> Result<Option<Vec<Bytes>>> {
        self.alive.iter().map(|container| container.memory()).collect()
    }

    fn stop(&mut self) -> Result<()> {
        self.alive.iter_mut().try_for_each(|container| container.stop().map(drop))
    }

    fn remove(&mut self) -> Result<()> {
        for mut container in self.alive.drain(..) {
            container.unmount()?;
            container.remove()?;
        }
        Ok(())
    }
}

/// Every container has a layer of its own.
fn check_held(crowd: &Crowd, held: Holdings) -> Result<()> {
    let wanted = crowd.alive.len() as u64;
    if held.layers == wanted {
        return Ok(());
    }
    Err(Error::effect("layers of containers that are alive", wanted, held.layers))
}

/// All that was held for them is given back.
fn check_gone(before: Holdings, after: Holdings) -> Result<()> {
    for ((name, before), (_, after)) in before.counts().into_iter().zip(after.counts()) {
        if before != after {
            return Err(Error::effect(format!("{name} when all containers are gone"), before, after));
        }
    }
    Ok(())
}

/// Of each its time and memory, by how many were alive then: cells for 1, 2, 3 to 4, 5 to 8, ...
fn record_each(crowd: &Crowd, memory: Option<&[Bytes]>, recorder: &mut dyn Recorder) -> Result<()> {
    let mut put = |metric: &str, each: &mut dyn Iterator<Item = Quantity>| {
        (1_u64..).zip(each).try_for_each(|(number, quantity)| {
            let alive = format!("{:04}", number.next_power_of_two());
            let params = [("alive", alive.as_str())];
            Cell { params: &params, phase: "one more" }.put(recorder, metric, quantity)
        })
    };
    put("wall", &mut crowd.times.iter().copied().map(Quantity::Time))?;
    put("memory_available_bytes", &mut crowd.available.iter().copied().map(Quantity::Noisy))?;
    put("memory_cgroup_bytes", &mut memory.unwrap_or_default().iter().copied().map(Quantity::Noisy))
}

fn record_held(held: Holdings, memory: Option<&[Bytes]>, cell: &Cell<'_>, recorder: &mut dyn Recorder) -> Result<()> {
    for (name, count) in held.counts() {
        cell.put(recorder, name, Quantity::Count(count))?;
    }
    if let Some(disk) = held.disk {
        cell.put(recorder, "disk_bytes", Quantity::Bytes(disk))?;
    }
    if let Some(memory) = held.memory_available {
        cell.put(recorder, "memory_taken_bytes", Quantity::Noisy(memory))?;
    }
    if let Some(memory) = memory {
        cell.put(recorder, "memory_cgroup_bytes", Quantity::Noisy(memory.iter().copied().sum()))?;
    }
    Ok(())
}
