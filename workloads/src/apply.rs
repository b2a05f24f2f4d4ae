//! Laying layer tars over layers, as pulling an image does.

use std::{
    fs::{self, File},
    path::Path,
};

use storage_driver::{ApplyStats, Bytes, LayerId};

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
    cases::{self, Case, Cases},
    diff,
    large::check_changes,
    measure::{Cell, Cost, metered, unless_stopped},
    own_layers::{OwnLayers, ROUND},
    tars,
};

/// The workload `apply`.
#[derive(Debug)]
pub(crate) struct Apply;

const NAME: &str = "apply";

impl Workload for Apply {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "importing layer tars"
    }

    fn params(&self) -> Vec<Param> {
        cases::params()
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        Cases::keep(params, seed, scratch)
    }

    fn prepare(&self, params: &Params, scratch: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        let cases = Cases::of(params, scratch)?;
        cases.prepare(NAME, engine)?;
        tars::make(&cases, NAME, scratch, engine)
    }

    fn run(
        &self,
        params: &Params,
        scratch: &Scratch,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        let cases = Cases::of(params, scratch)?;
        for &case in &cases.cases {
            let own = OwnLayers::new(engine.driver(), NAME);
            let parent = if case == Case::App { None } else { Some(cases::large(&own)?) };
            let applied = apply_all(case, parent, scratch, engine, recorder)?;
            if case == Case::App {
                check_topmost(&applied, scratch, engine)?;
            } else {
                let expected = diff::expected(&cases, case, scratch)?;
                check_changes(&expected, &engine.driver().changes(&applied)?)?;
            }
            OwnLayers::new(engine.driver(), NAME).remove(ROUND)?;
        }
        Ok(())
    }

    fn conclude(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        OwnLayers::new(engine.driver(), NAME).remove(ROUND)
    }

    fn cleanup(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        OwnLayers::new(engine.driver(), NAME).remove("")
    }
}

/// One tar after the other, each on the one before; gives the topmost layer.
fn apply_all(
    case: Case,
    parent: Option<LayerId>,
    scratch: &Scratch,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<LayerId> {
    let (mut top, mut applied) = (parent, Vec::new());
    let (mut cost, mut all) = (Cost::default(), ApplyStats::default());
    let tars = tars::of(case, scratch)?;
    for (number, tar) in tars.iter().enumerate() {
        unless_stopped(engine)?;
        let own = OwnLayers::new(engine.driver(), NAME);
        let layer = own.create(&format!("{ROUND}-{number}"), top.as_ref())?;
        let mut file = File::open(tar).map_err(Error::io("open", tar))?;
        let (stats, one) = metered(engine, |engine| Ok(engine.driver().apply(&layer, &mut file)?))?;
        check_stats(tar, &stats)?;
        cost += one;
        all.entries += stats.entries;
        all.content += stats.content;
        all.size += stats.size;
        // What others stand on has to be sealed; how long that takes is the business of `commit`.
        if number + 1 < tars.len() {
            engine.driver().seal(&layer)?;
        }
        applied.push(layer.clone());
        top = Some(layer);
    }
    let params = [("case", case.name())];
    let cell = Cell { params: &params, phase: "apply" };
    cell.put_cost(recorder, &cost)?;
    cell.put(recorder, "tar_bytes", Quantity::Bytes(all.size))?;
    cell.put(recorder, "content_bytes", Quantity::Bytes(all.content))?;
    cell.put(recorder, "entries", Quantity::Count(all.entries))?;
    cell.put_layers(recorder, engine.driver(), &applied)?;
    top.ok_or_else(|| Error::effect("layer tars", "some", "none"))
}

/// Whether all of the tar was read.
fn check_stats(tar: &Path, stats: &ApplyStats) -> Result<()> {
    let len = fs::metadata(tar).map_err(Error::io("examine", tar))?.len();
    if stats.size != Bytes(len) || stats.entries == 0 {
        let found = format!("{} with {} entries", stats.size.get(), stats.entries);
        return Err(Error::effect(format!("bytes applied of {}", tar.display()), len, found));
    }
    Ok(())
}

/// Whether the image's topmost layer differs from the one below as it did where its tar was made: the tar that comes
/// out again has the same length.
fn check_topmost(top: &LayerId, scratch: &Scratch, engine: &dyn Engine) -> Result<()> {
    let tars = tars::of(Case::App, scratch)?;
    let Some(tar) = tars.last() else { return Ok(()) };
    let len = fs::metadata(tar).map_err(Error::io("examine", tar))?.len();
    let again = engine.driver().diff(top, &mut std::io::sink())?.size;
    if again != Bytes(len) {
        return Err(Error::effect(
            "bytes of the tar of what was applied, its entries and their content",
            len,
            again.get(),
        ));
    }
    Ok(())
}
