//! Removing layers, and the time until their space is free again.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use storage_driver::Bytes;

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
    content::Seed,
    large::LargeTree,
    measure::{Cell, metered, unless_stopped},
    own_layers::{OwnLayers, ROUND},
};

/// The workload `delete`.
#[derive(Debug)]
pub(crate) struct Delete;

const NAME: &str = "delete";

/// Space that a file system keeps of what is gone, such as grown directories and its own trees.
const KEPT: u64 = 2 << 20;
/// The driver has waited by then for what its file system does in the background.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// One layer with one large file.
    File,
    /// One layer with many small ones.
    Many,
    /// A chain of layers, as an image is.
    Image,
}

const CASES: [(&str, Case); 3] = [("file", Case::File), ("many", Case::Many), ("image", Case::Image)];

impl Case {
    fn name(self) -> &'static str {
        CASES.iter().find(|(_, case)| *case == self).map_or("", |(name, _)| name)
    }
}

impl Workload for Delete {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "removing layers and images, and the time until their space is back"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("cases", "all", "all", "all, or some with commas: file, many, image"),
            param("size", "67108864", "16777216", "bytes of the large file, and of all the image's together"),
            param("files", "5000", "1000", "small files"),
            param("layers", "8", "8", "layers of the image"),
        ]
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        Seed::keep(seed, scratch)?;
        Plan::of(params, scratch).map(drop)
    }

    fn prepare(&self, _: &Params, _: &Scratch, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }

    fn run(
        &self,
        params: &Params,
        scratch: &Scratch,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        let plan = Plan::of(params, scratch)?;
        plan.cases.iter().try_for_each(|case| {
            unless_stopped(engine)?;
            one(*case, &plan, engine, recorder)
        })
    }

    fn conclude(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        OwnLayers::new(engine.driver(), NAME).remove(ROUND)
    }

    fn cleanup(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        OwnLayers::new(engine.driver(), NAME).remove("")
    }
}

#[derive(Debug)]
struct Plan {
    cases: Vec<Case>,
    size: u64,
    tree: LargeTree,
    layers: u64,
}

impl Plan {
    fn of(params: &Params, scratch: &Scratch) -> Result<Self> {
        Ok(Self {
            cases: params.choices("cases", &CASES)?,
            size: params.number("size", 1 << 20..=1 << 40)?,
            tree: LargeTree { seed: Seed::of(scratch)?, files: params.number("files", 1..=10_000_000)? },
            layers: params.number("layers", 1..=1000)?,
        })
    }

    fn layers(&self, case: Case) -> u64 {
        if case == Case::Image { self.layers } else { 1 }
    }

    fn fill(&self, case: Case, number: u64, root: &Path) -> Result<()> {
        let content = self.tree.seed.content(&number.to_string());
        match case {
            Case::File => content.write(&root.join("file"), self.size),
            Case::Many => self.tree.make(root),
            Case::Image => content.write(&root.join(format!("file-{number}")), self.size / self.layers),
        }
    }

    /// Sealed, and so durable.
    fn make(&self, case: Case, engine: &dyn Engine) -> Result<()> {
        let own = OwnLayers::new(engine.driver(), NAME);
        let mut top = None;
        for number in 0..self.layers(case) {
            let name = format!("{ROUND}-{number}");
            top = Some(own.sealed(&name, top.as_ref(), |root| self.fill(case, number, root))?);
        }
        Ok(())
    }
}

fn one(case: Case, plan: &Plan, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
    let own = OwnLayers::new(engine.driver(), NAME);
    // The driver's own directories grow once, and not again.
    own.sealed(ROUND, None, |root| fs::write(root.join("first"), "").map_err(Error::io("write", root)))?;
    own.remove(ROUND)?;
    let before = engine.holdings()?;
    plan.make(case, engine)?;
    let held = engine.holdings()?;
    let layers = plan.layers(case);
    if held.layers != before.layers + layers {
        return Err(Error::effect("layers that were made", layers, held.layers.saturating_sub(before.layers)));
    }
    let params = [("case", case.name())];
    let cell = |phase| Cell { params: &params, phase };
    let (removed, cost) = metered(engine, |engine| {
        OwnLayers::new(engine.driver(), NAME).remove(ROUND)?;
        Ok(Instant::now())
    })?;
    let left = engine.driver().list()?.len() as u64;
    if left != before.layers {
        return Err(Error::effect("layers after removing", before.layers, left));
    }
    cell("remove").put_cost(recorder, &cost)?;
    cell("remove").put(recorder, "layers", Quantity::Count(layers))?;
    let (Some(empty), Some(full)) = (before.disk, held.disk) else {
        engine.leave_out(
            "the phase space of the workload delete",
            "others write to the driver's file system, too; use a testbed with a device of its own",
        );
        return Ok(());
    };
    let back = wait(empty, full, removed, engine)?;
    cell("space").put(recorder, "wall", Quantity::Time(back.elapsed))?;
    cell("space").put(recorder, "held_bytes", Quantity::Bytes(full - empty))?;
    cell("space").put(recorder, "kept_bytes", Quantity::Bytes(back.kept))
}

#[derive(Debug)]
struct Back {
    elapsed: Duration,
    kept: Bytes,
}

/// Waits until what is used is what it was, or nearly so.
fn wait(empty: Bytes, full: Bytes, removed: Instant, engine: &mut dyn Engine) -> Result<Back> {
    let allowed = Bytes(KEPT.min((full - empty).get() / 10));
    engine.driver().wait_for_space()?;
    loop {
        let used = engine.holdings()?.disk.unwrap_or_default();
        let (elapsed, kept) = (removed.elapsed(), used - empty);
        if kept <= allowed {
            return Ok(Back { elapsed, kept });
        }
        if elapsed > PATIENCE {
            let what = format!("bytes still held {} s after removing {}", PATIENCE.as_secs(), full - empty);
            return Err(Error::effect(what, format!("{allowed} or less"), kept));
        }
        unless_stopped(engine)?;
        thread::sleep(PAUSE);
    }
}
