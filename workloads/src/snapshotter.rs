//! containerd's benchmark of its snapshotters, made reproducible: 16 layers of ten operations each.
//!
//! The mix is that of its `core/snapshots/benchsuite`: three kinds of layers, of files that are made, removed, and changed
//! by four bytes in the middle. There, content comes from the clock, the chain grows from one iteration to the next, and
//! nothing is removed; here, content comes from the seed, and each round begins with nothing.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use storage_driver::{LayerId, MountMode};

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
    content::Seed,
    measure::{Cell, metered, unless_stopped},
    own_layers::{OwnLayers, ROUND},
    walk,
};

/// The workload `snapshotter`.
#[derive(Debug)]
pub(crate) struct Snapshotter;

const NAME: &str = "snapshotter";

/// The three kinds of layers: the names of the files in the order in which they are made (`+`), changed (`~`) and
/// removed (`-`).
const ALL_NEW: &str = "a+ b+ c+ d+ e+ f+ g+ h+ i+ j+";
const HALF_NEW: &str = "a~ b+ c- d+ e~ f- g+ h~ i+ j~";
const HALF_CHANGED: &str = "a~ b~ c+ d~ f+ e~ g- h+ i~ j+";

/// The kind of the layer of this number, from 1.
const fn kind(number: u64) -> &'static str {
    match (number % 3, number % 2) {
        (0, _) => HALF_CHANGED,
        (_, 0) => HALF_NEW,
        _ => ALL_NEW,
    }
}

fn operations(number: u64) -> impl Iterator<Item = (&'static str, &'static str)> {
    kind(number).split(' ').map(|operation| operation.split_at(1))
}

/// Bytes that a change writes, in the middle of a file.
const CHANGED: usize = 4;

impl Workload for Snapshotter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "containerd's benchmark of its snapshotters: layers of ten operations of three kinds, one on the other"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("layers", "16", "16", "layers, one on the other"),
            param("size", "1048576", "262144", "bytes of each file"),
        ]
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        Plan::of(params, Seed::keep(seed, scratch).and_then(|()| Seed::of(scratch))?).map(drop)
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
        let plan = Plan::of(params, Seed::of(scratch)?)?;
        let ((top, times), cost) = metered(engine, |engine| plan.run(engine))?;
        plan.check(&top, engine)?;
        let layers = plan.layers.to_string();
        let params = [("layers", layers.as_str())];
        for (phase, time) in [("prepare", times.prepare), ("write", times.write), ("commit", times.commit)] {
            Cell { params: &params, phase }.put(recorder, "wall", Quantity::Time(time))?;
        }
        let all = Cell { params: &params, phase: "all" };
        all.put_cost(recorder, &cost)?;
        let operations: usize = (1..=plan.layers).map(|number| operations(number).count()).sum();
        all.put(recorder, "operations", Quantity::Count(operations as u64))?;
        all.put_layers(recorder, engine.driver(), &crate::own_layers::chain(engine.driver(), &top)?)
    }

    fn conclude(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        OwnLayers::new(engine.driver(), NAME).remove(ROUND)
    }

    fn cleanup(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        OwnLayers::new(engine.driver(), NAME).remove("")
    }
}

/// Of all layers together; writing includes making the content up, which takes the same time on every driver.
#[derive(Debug, Default)]
struct Times {
    prepare: Duration,
    write: Duration,
    commit: Duration,
}

#[derive(Debug)]
struct Plan {
    layers: u64,
    size: u64,
    seed: Seed,
}

impl Plan {
    fn of(params: &Params, seed: Seed) -> Result<Self> {
        Ok(Self { layers: params.number("layers", 1..=10_000)?, size: params.number("size", 8..=1 << 32)?, seed })
    }

    /// Without a sync but those of the driver; gives the topmost layer.
    fn run(&self, engine: &dyn Engine) -> Result<(LayerId, Times)> {
        let mut times = Times::default();
        let own = OwnLayers::new(engine.driver(), NAME);
        let mut top: Option<LayerId> = None;
        for number in 1..=self.layers {
            unless_stopped(engine)?;
            let started = Instant::now();
            let layer = own.create(&format!("{ROUND}-{number}"), top.as_ref())?;
            times.prepare += started.elapsed();
            let started = Instant::now();
            own.mounted(&layer, MountMode::ReadWrite, |root| self.write(number, root))?;
            times.write += started.elapsed();
            let started = Instant::now();
            engine.driver().seal(&layer)?;
            times.commit += started.elapsed();
            top = Some(layer);
        }
        let top = top.ok_or_else(|| Error::effect("layers of the benchmark", "some", "none"))?;
        Ok((top, times))
    }

    fn write(&self, number: u64, root: &Path) -> Result<()> {
        for (name, what) in operations(number) {
            let path = root.join(name);
            match what {
                "+" => self.seed.content(&format!("{name} of {number}")).write(&path, self.size)?,
                "-" => fs::remove_file(&path).map_err(Error::io("remove", path))?,
                _ => {
                    let file = OpenOptions::new().write(true).open(&path);
                    let written = file.and_then(|file| file.write_all_at(&mark(number), self.size / 2));
                    written.map_err(Error::io("change", path))?;
                }
            }
        }
        Ok(())
    }

    /// What each file must be after all layers: which layer made it, and which one changed it last, if any did.
    fn expected(&self) -> BTreeMap<&'static str, (u64, Option<u64>)> {
        let mut files = BTreeMap::new();
        for number in 1..=self.layers {
            for (name, what) in operations(number) {
                match what {
                    "+" => drop(files.insert(name, (number, None))),
                    "-" => drop(files.remove(name)),
                    _ => drop(files.entry(name).and_modify(|(_, changed)| *changed = Some(number))),
                }
            }
        }
        files
    }

    fn check(&self, top: &LayerId, engine: &dyn Engine) -> Result<()> {
        let expected = self.expected();
        OwnLayers::new(engine.driver(), NAME).mounted(top, MountMode::ReadOnly, |root| {
            let found = walk::list(root)?.len();
            if found != expected.len() {
                return Err(Error::effect("files of the topmost layer", expected.len(), found));
            }
            expected
                .iter()
                .try_for_each(|(name, (made, changed))| self.check_file(&root.join(name), name, *made, *changed))
        })
    }

    fn check_file(&self, path: &Path, name: &str, made: u64, changed: Option<u64>) -> Result<()> {
        let fail = || Error::io("read", path);
        let file = File::open(path).map_err(fail())?;
        let len = file.metadata().map_err(fail())?.len();
        if len != self.size {
            return Err(Error::effect(format!("size of {}", path.display()), self.size, len));
        }
        let mut start = [0; CHANGED];
        file.read_exact_at(&mut start, 0).map_err(fail())?;
        let right = self.seed.content(&format!("{name} of {made}")).block(0);
        let mut middle = [0; CHANGED];
        file.read_exact_at(&mut middle, self.size / 2).map_err(fail())?;
        if start != right[..CHANGED] || changed.is_some_and(|number| middle != mark(number)) {
            return Err(Error::effect(format!("content of {}", path.display()), "what was written", "other bytes"));
        }
        Ok(())
    }
}

/// What a change of this layer writes.
const fn mark(number: u64) -> [u8; CHANGED] {
    (number as u32 ^ 0xA5A5_A5A5).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_finds_its_file() {
        let mut there = std::collections::BTreeSet::new();
        for number in 1..=64 {
            assert_eq!(operations(number).count(), 10);
            for (name, what) in operations(number) {
                match what {
                    "+" => drop(there.insert(name)),
                    "-" => assert!(there.remove(name), "layer {number} removes {name}"),
                    "~" => assert!(there.contains(name), "layer {number} changes {name}"),
                    other => panic!("{other}"),
                }
            }
        }
    }
}
