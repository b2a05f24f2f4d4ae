//! Finding what a layer changed, and writing it as a layer tar.

use std::{
    io::{self, Write},
    path::Path,
};

use storage_driver::{Bytes, DiffStats, LayerId};

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
    cases::{self, Case, Cases},
    large::{Changes, check_changes},
    measure::{Cell, unless_stopped},
    own_layers::OwnLayers,
};

/// The workload `diff`.
#[derive(Debug)]
pub(crate) struct Diff;

const NAME: &str = "diff";

impl Workload for Diff {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "telling what a layer changed, and exporting it as a tar"
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
        let own = OwnLayers::new(engine.driver(), NAME);
        for &case in cases.cases.iter().filter(|case| **case != Case::App) {
            own.sealed(case.name(), Some(&cases::large(&own)?), |root| cases.change(case, root).map(drop))?;
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
            match case {
                Case::App => one(case, &cases::app(engine)?, None, engine, recorder)?,
                Case::OneInLarge | Case::Many => {
                    let expected = expected(&cases, case, scratch)?;
                    let layer = OwnLayers::new(engine.driver(), NAME).id(case.name())?;
                    one(case, &[layer], Some(&expected), engine, recorder)?;
                }
            }
        }
        Ok(())
    }

    fn conclude(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }

    fn cleanup(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        OwnLayers::new(engine.driver(), NAME).remove("")
    }
}

/// The same changes, made once more in a plain directory.
pub(crate) fn expected(cases: &Cases, case: Case, scratch: &Scratch) -> Result<Changes> {
    let plain = scratch.path().join("plain");
    let fresh = |path: &Path| match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::fs::create_dir(path),
    };
    fresh(&plain).map_err(Error::io("make anew", &plain))?;
    cases.tree.make(&plain)?;
    cases.change(case, &plain)
}

fn one(
    case: Case,
    layers: &[LayerId],
    expected: Option<&Changes>,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let params = [("case", case.name())];
    let cell = |phase| Cell { params: &params, phase };
    let found = cell("changes").measure(engine, recorder, |engine| {
        layers.iter().map(|layer| Ok(engine.driver().changes(layer)?)).collect::<Result<Vec<_>>>()
    })?;
    let changes = found.iter().map(Vec::len).sum::<usize>() as u64;
    match expected {
        Some(expected) => found.iter().try_for_each(|found| check_changes(expected, found))?,
        None if found.iter().any(Vec::is_empty) => {
            return Err(Error::effect("changes of a layer of an image", "some", "none"));
        }
        None => {}
    }
    cell("changes").put(recorder, "changes", Quantity::Count(changes))?;
    let mut sink = Sink(0);
    let stats = cell("diff").measure(engine, recorder, |engine| {
        let mut all = DiffStats::default();
        for layer in layers {
            add(&mut all, engine.driver().diff(layer, &mut sink)?);
        }
        Ok(all)
    })?;
    check_tar(&stats, sink.0, changes)?;
    put_stats(&cell("diff"), &stats, recorder)
}

/// Whether a tar arrived, all of it, with an entry for each change.
fn check_tar(stats: &DiffStats, arrived: u64, changes: u64) -> Result<()> {
    if stats.size != Bytes(arrived) || arrived == 0 {
        return Err(Error::effect("bytes of the exported tar", stats.size.get().max(1), arrived));
    }
    if stats.entries + (stats.skipped.len() as u64) < changes {
        return Err(Error::effect("entries of the exported tar", format!("{changes} or more"), stats.entries));
    }
    Ok(())
}

fn add(all: &mut DiffStats, one: DiffStats) {
    all.entries += one.entries;
    all.content += one.content;
    all.size += one.size;
    all.examined += one.examined;
    all.skipped.extend(one.skipped);
}

fn put_stats(cell: &Cell<'_>, stats: &DiffStats, recorder: &mut dyn Recorder) -> Result<()> {
    cell.put(recorder, "tar_bytes", Quantity::Bytes(stats.size))?;
    cell.put(recorder, "content_bytes", Quantity::Bytes(stats.content))?;
    cell.put(recorder, "entries", Quantity::Count(stats.entries))?;
    cell.put(recorder, "examined", Quantity::Count(stats.examined))
}

/// Takes bytes and counts them.
#[derive(Debug)]
struct Sink(u64);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
