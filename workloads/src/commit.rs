//! Making a changed layer durable and immutable, as the end of a build's step does.

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use storage_driver::{LayerId, LayerState, MountMode};

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
    cases::{self, Case, Cases},
    measure::{Cell, metered, unless_stopped},
    own_layers::{OwnLayers, ROUND},
    tars, walk,
};

/// The workload `commit`.
#[derive(Debug)]
pub(crate) struct Commit;

const NAME: &str = "commit";

impl Workload for Commit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "sealing changed layers, which makes them durable"
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
        if cases.cases.contains(&Case::App) {
            let app = Cases { cases: vec![Case::App], ..cases };
            tars::make(&app, NAME, scratch, engine)?;
        }
        Ok(())
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
            unless_stopped(engine)?;
            one(&cases, case, scratch, engine, recorder)?;
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

/// What is written and what sealing takes are timed apart; between them is no sync, so that sealing has to do its own,
/// and the device's work is for both together.
fn one(
    cases: &Cases,
    case: Case,
    scratch: &Scratch,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let tars = if case == Case::App { tars::of(case, scratch)? } else { Vec::new() };
    let ((layers, times), cost) = metered(engine, |engine| {
        let own = OwnLayers::new(engine.driver(), NAME);
        let mut times = Times::default();
        let layers = match case {
            Case::App => image(&own, &tars, engine, &mut times)?,
            Case::OneInLarge | Case::Many => {
                let parent = cases::large(&own)?;
                vec![times.layer(engine, || {
                    let mut entries = 0;
                    let layer = own.changed(ROUND, Some(&parent), |root| {
                        entries = cases.change(case, root)?.len() as u64;
                        Ok(())
                    })?;
                    Ok((layer, entries))
                })?]
            }
        };
        Ok((layers, times))
    })?;
    layers.iter().try_for_each(|layer| check_sealed(layer, engine))?;
    let params = [("case", case.name())];
    let cell = |phase| Cell { params: &params, phase };
    cell("write").put(recorder, "wall", Quantity::Time(times.write))?;
    cell("seal").put(recorder, "wall", Quantity::Time(times.seal))?;
    cell("all").put_cost(recorder, &cost)?;
    cell("all").put(recorder, "layers", Quantity::Count(layers.len() as u64))?;
    let own = OwnLayers::new(engine.driver(), NAME);
    cell("all").put(recorder, "entries", Quantity::Count(times.entries))?;
    cell("all").put_layers(recorder, engine.driver(), &layers)?;
    own.remove(ROUND)
}

/// The image's layers, one on the other.
fn image(
    own: &OwnLayers<'_>,
    tars: &[std::path::PathBuf],
    engine: &dyn Engine,
    times: &mut Times,
) -> Result<Vec<LayerId>> {
    let mut layers: Vec<LayerId> = Vec::new();
    for (number, tar) in tars.iter().enumerate() {
        unless_stopped(engine)?;
        let layer = times.layer(engine, || {
            let layer = own.create(&format!("{ROUND}-{number}"), layers.last())?;
            let entries = apply(&layer, tar, engine)?;
            Ok((layer, entries))
        })?;
        layers.push(layer);
    }
    Ok(layers)
}

fn apply(layer: &LayerId, tar: &Path, engine: &dyn Engine) -> Result<u64> {
    let mut file = File::open(tar).map_err(Error::io("open", tar))?;
    Ok(engine.driver().apply(layer, &mut file)?.entries)
}

/// Of all layers together.
#[derive(Debug, Default)]
struct Times {
    write: Duration,
    seal: Duration,
    /// What was written: changes, or entries of tars.
    entries: u64,
}

impl Times {
    fn layer(&mut self, engine: &dyn Engine, write: impl FnOnce() -> Result<(LayerId, u64)>) -> Result<LayerId> {
        let started = Instant::now();
        let (layer, entries) = write()?;
        self.entries += entries;
        let written = Instant::now();
        engine.driver().seal(&layer)?;
        self.write += written - started;
        self.seal += written.elapsed();
        Ok(layer)
    }
}

/// It cannot change any more, and has a tree.
fn check_sealed(layer: &LayerId, engine: &dyn Engine) -> Result<()> {
    let state = engine.driver().stat(layer)?.state;
    if state != LayerState::Sealed {
        return Err(Error::effect(format!("the layer {layer} after sealing"), "sealed", format!("{state:?}")));
    }
    let entries = OwnLayers::new(engine.driver(), NAME)
        .mounted(layer, MountMode::ReadOnly, |root| Ok(walk::list(root)?.len()))?;
    if entries == 0 {
        return Err(Error::effect(format!("entries of the sealed layer {layer}"), "some", "none"));
    }
    Ok(())
}
