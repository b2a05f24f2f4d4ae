//! Lives of containers: from making the layer to removing it, one after the other and many at once.

mod container;
mod layer;
mod lives;

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
    measure::{Cell, metered},
};

use self::lives::{Life, lives};

/// The workload `lifecycle`.
#[derive(Debug)]
pub(crate) struct Lifecycle;

/// Containers at once; more are the business of `density`.
const MOST: u64 = 512;

const LEVELS: [(&str, (bool, bool)); 3] =
    [("both", (true, true)), ("driver", (true, false)), ("container", (false, true))];

impl Workload for Lifecycle {
    fn name(&self) -> &'static str {
        "lifecycle"
    }

    fn about(&self) -> &'static str {
        "lives of containers, step by step: create, mount, start, first exec, exit, unmount, remove"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("level", "both", "both", "container: with processes; driver: layers and mounts only; both"),
            param("parallel", "1,8,64", "1,8", "how many live at once: one number, or several with commas"),
            param("serial", "5", "2", "lives one after the other, where one lives at a time"),
            param("image", "host", "host", "what the containers are of; it needs a shell and sleep"),
        ]
    }

    fn setup(&self, params: &Params, _: u64, _: &Scratch) -> Result<()> {
        params.choice("level", &LEVELS)?;
        params.numbers("parallel", 1..=MOST)?;
        params.number("serial", 1..=100_000).map(drop)
    }

    fn prepare(&self, params: &Params, _: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        engine.ensure_base(params.text("image")).map(drop)
    }

    fn run(&self, params: &Params, _: &Scratch, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
        let (of_driver, of_containers) = params.choice("level", &LEVELS)?;
        for parallel in params.numbers("parallel", 1..=MOST)? {
            let each = if parallel == 1 { params.number("serial", 1..=100_000)? } else { 1 };
            if of_driver {
                layers(params, parallel, each, engine, recorder)?;
            }
            if of_containers {
                containers(params, parallel, each, engine, recorder)?;
            }
        }
        Ok(())
    }

    fn conclude(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }

    fn cleanup(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }
}

/// Without processes.
fn layers(
    params: &Params,
    parallel: u64,
    each: u64,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let parent = engine.ensure_base(params.text("image"))?;
    stop_or(engine)?;
    let (lived, cost) = metered(engine, |engine| {
        let driver = engine.driver();
        lives(parallel, each, |number, together| layer::live(driver, parent.as_ref(), number, together))
    })?;
    record("driver", parallel, &lived, recorder, |cell, recorder| cell.put_cost(recorder, &cost))
}

/// With processes.
fn containers(
    params: &Params,
    parallel: u64,
    each: u64,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let containers = engine.containers(params.text("image"))?;
    stop_or(engine)?;
    let (lived, cost) = metered(engine, |engine| {
        let driver = engine.driver();
        lives(parallel, each, |number, together| container::live(&containers, driver, number, together))
    })?;
    record("container", parallel, &lived, recorder, |cell, recorder| cell.put_cost(recorder, &cost))
}

fn stop_or(engine: &dyn Engine) -> Result<()> {
    if engine.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
}

/// Every life is a sample of each of its steps; what the device and the processor did is for all together.
fn record(
    level: &str,
    parallel: u64,
    lived: &[Life],
    recorder: &mut dyn Recorder,
    put_cost: impl FnOnce(&Cell<'_>, &mut dyn Recorder) -> Result<()>,
) -> Result<()> {
    let parallel = format!("{parallel:02}");
    let params = [("level", level), ("parallel", parallel.as_str())];
    for life in lived {
        for (phase, time) in &life.steps {
            Cell { params: &params, phase }.put(recorder, "wall", Quantity::Time(*time))?;
        }
        Cell { params: &params, phase: "life" }.put(recorder, "wall", Quantity::Time(life.total()))?;
    }
    let all = Cell { params: &params, phase: "all" };
    all.put(recorder, "lives", Quantity::Count(lived.len() as u64))?;
    put_cost(&all, recorder)
}
