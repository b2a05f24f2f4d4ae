//! What the number of layers below a container costs it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use storage_driver::{LayerId, MountMode};

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
    content::Seed,
    measure::{Cell, metered, unless_stopped},
    own_layers::{OwnLayers, ROUND},
    walk,
};

/// The workload `layers`.
#[derive(Debug)]
pub(crate) struct Layers;

const NAME: &str = "layers";
const DEEPEST: u64 = 10_000;
/// In the lowest layer, so that a lookup passes all the others.
const LOWEST: &str = "lowest";
/// Every layer has entries in it.
const MERGED: &str = "merged";
/// Entries of each layer in the merged directory.
const EACH: u64 = 2;

impl Workload for Layers {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "making, mounting, opening, listing and creating, by the number of layers below"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("depths", "1,2,4,8,16,32,64,128", "1,16,64", "sealed layers below the writable one, with commas"),
            param("files", "200", "100", "files of the lowest layer that are opened, and files that are created"),
        ]
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        depths(params)?;
        files(params)?;
        Seed::keep(seed, scratch)
    }

    fn prepare(&self, params: &Params, scratch: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        let (seed, files) = (Seed::of(scratch)?, files(params)?);
        let mut top: Option<LayerId> = None;
        let deepest = depths(params)?.into_iter().max().unwrap_or(1).min(limit(engine));
        for number in 1..=deepest {
            unless_stopped(engine)?;
            let own = OwnLayers::new(engine.driver(), NAME);
            let layer = own.sealed(&base(number), top.as_ref(), |root| {
                if number == 1 {
                    [LOWEST, MERGED].into_iter().map(|name| root.join(name)).try_for_each(make)?;
                    opened(root, files).try_for_each(|path| seed.content("lowest").write(&path, 100))?;
                }
                let entries = (0..EACH).map(|entry| root.join(MERGED).join(format!("l{number:05}-{entry}")));
                entries.into_iter().try_for_each(|path| seed.content("merged").write(&path, 10))
            })?;
            top = Some(layer);
        }
        Ok(())
    }

    fn run(&self, params: &Params, _: &Scratch, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
        let files = files(params)?;
        for depth in depths(params)? {
            unless_stopped(engine)?;
            let limit = limit(engine);
            if depth > limit {
                let why = format!("the driver mounts at most {limit} layers below a writable one");
                engine.leave_out(&format!("depth {depth} of the workload layers"), &why);
                continue;
            }
            at_depth(depth, files, engine, recorder)?;
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

fn depths(params: &Params) -> Result<Vec<u64>> {
    params.numbers("depths", 1..=DEEPEST)
}

fn files(params: &Params) -> Result<u64> {
    params.number("files", 1..=1_000_000)
}

fn base(number: u64) -> String {
    format!("base-{number}")
}

/// Sealed layers that the driver can have below a writable one.
fn limit(engine: &dyn Engine) -> u64 {
    engine.driver().capabilities().max_depth.map_or(u64::MAX, |limit| u64::from(limit).saturating_sub(1))
}

fn make(dir: PathBuf) -> Result<()> {
    fs::create_dir(&dir).map_err(Error::io("create", dir))
}

fn opened(root: &Path, files: u64) -> impl Iterator<Item = PathBuf> {
    let dir = root.join(LOWEST);
    (0..files).map(move |number| dir.join(format!("f{number:05}")))
}

fn at_depth(depth: u64, files: u64, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
    let text = depth.to_string();
    let params = [("depth", text.as_str())];
    let cell = |phase| Cell { params: &params, phase };
    let parent = OwnLayers::new(engine.driver(), NAME).id(&base(depth))?;
    let layer = cell("prepare")
        .measure(engine, recorder, |engine| OwnLayers::new(engine.driver(), NAME).create(ROUND, Some(&parent)))?;
    let mounted =
        cell("mount").measure(engine, recorder, |engine| Ok(engine.driver().mount(&layer, MountMode::ReadWrite)?))?;
    let root = mounted.path();
    let ((), cost) = metered(engine, |_| {
        opened(root, files).try_for_each(|path| File::open(&path).map(drop).map_err(Error::io("open", path)))
    })?;
    cell("open").put_cost(recorder, &cost)?;
    cell("open").put(recorder, "entries", Quantity::Count(files))?;
    let listed = cell("readdir").measure(engine, recorder, |_| walk::list(&root.join(MERGED)))?;
    if listed.len() as u64 != depth * EACH {
        return Err(Error::effect(format!("entries of {depth} layers in one directory"), depth * EACH, listed.len()));
    }
    cell("readdir").put(recorder, "entries", Quantity::Count(depth * EACH))?;
    let before = engine.driver().usage(&layer)?;
    let created: Vec<_> = (0..files).map(|number| root.join(MERGED).join(format!("new-{number:05}"))).collect();
    cell("create").measure(engine, recorder, |_| {
        created.iter().try_for_each(|path| fs::write(path, "").map_err(Error::io("create", path)))
    })?;
    cell("create").put(recorder, "entries", Quantity::Count(files))?;
    cell("create").put_growth(recorder, before, engine.driver().usage(&layer)?)?;
    let there = walk::list(&root.join(MERGED))?.len() as u64;
    if there != depth * EACH + files {
        return Err(Error::effect("entries after creating files", depth * EACH + files, there));
    }
    cell("unmount").measure(engine, recorder, |_| Ok(mounted.close()?))?;
    OwnLayers::new(engine.driver(), NAME).remove(ROUND)
}
