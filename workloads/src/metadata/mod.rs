//! Work on the attributes and names of whole trees, as `chown -R` in a Dockerfile is.

mod operation;

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use storage_driver::{LayerId, MountMode, MountedLayer, Sharing};

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Scratch, Workload,
    content::Seed,
    ids,
    large::LargeTree,
    measure::{Cell, metered, unless_stopped},
    own_layers::{self, OwnLayers, ROUND},
    walk,
};

use self::operation::{CHANGES, Change, Storm};

/// The workload `metadata`.
#[derive(Debug)]
pub(crate) struct Metadata;

const NAME: &str = "metadata";
const MANY: &str = "many";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tree {
    Slim,
    Many,
}

const TREES: [(&str, Tree); 2] = [("slim", Tree::Slim), (MANY, Tree::Many)];

impl Tree {
    const fn name(self) -> &'static str {
        match self {
            Self::Slim => "slim",
            Self::Many => MANY,
        }
    }

    fn layer(self, engine: &mut dyn Engine) -> Result<LayerId> {
        match self {
            Self::Slim => own_layers::base(engine, "slim"),
            Self::Many => OwnLayers::new(engine.driver(), NAME).id(MANY),
        }
    }
}

impl Workload for Metadata {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "chown, chmod and touch of every entry of a tree; finding, examining, making, renaming and removing many"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("trees", "all", "many", "slim: the base image of this name; many: files of the workload's own; all"),
            param("files", "5000", "1000", "files in many"),
            param("most", "400", "200", "entries of a tree that are changed at most, spread over all of it"),
            param("storm", "2000", "500", "files that are made, renamed and removed"),
        ]
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        params.choices("trees", &TREES)?;
        storm(params)?;
        files(params)?;
        most(params)?;
        Seed::keep(seed, scratch)
    }

    fn prepare(&self, params: &Params, scratch: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        for tree in params.choices("trees", &TREES)? {
            match tree {
                Tree::Slim => drop(tree.layer(engine)?),
                Tree::Many => {
                    let large = LargeTree { seed: Seed::of(scratch)?, files: files(params)? };
                    OwnLayers::new(engine.driver(), NAME).sealed(MANY, None, |root| large.make(root))?;
                }
            }
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
        for tree in params.choices("trees", &TREES)? {
            let parent = tree.layer(engine)?;
            for change in CHANGES {
                unless_stopped(engine)?;
                if change == Change::Chown && !ids::can_give_away(scratch.path())? {
                    engine.leave_out("the phase chown of the workload metadata", ids::WHY_NOT);
                    continue;
                }
                change_all(change, most(params)?, tree, &parent, engine, recorder)?;
            }
            unless_stopped(engine)?;
            let large = LargeTree { seed: Seed::of(scratch)?, files: files(params)? };
            let entries = (tree == Tree::Many).then(|| large.entries());
            look_and_storm(tree, &parent, entries, storm(params)?, engine, recorder)?;
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

fn files(params: &Params) -> Result<u64> {
    params.number("files", 1..=10_000_000)
}

fn storm(params: &Params) -> Result<u64> {
    params.number("storm", 1..=10_000_000)
}

fn most(params: &Params) -> Result<usize> {
    params.number("most", 1..=10_000_000).map(|most| most as usize)
}

/// As many as are wanted, at equal distances.
fn spread<T>(items: Vec<T>, most: usize) -> Vec<T> {
    let len = items.len();
    let mut taken = 0;
    let chosen = items.into_iter().enumerate().filter(|(index, _)| {
        let wanted = *index * most >= taken * len && taken < most;
        taken += usize::from(wanted);
        wanted
    });
    chosen.map(|(_, item)| item).collect()
}

fn mounted(parent: &LayerId, engine: &dyn Engine) -> Result<(LayerId, MountedLayer)> {
    let layer = OwnLayers::new(engine.driver(), NAME).create(ROUND, Some(parent))?;
    let mounted = engine.driver().mount(&layer, MountMode::ReadWrite)?;
    Ok((layer, mounted))
}

fn change_all(
    change: Change,
    most: usize,
    tree: Tree,
    parent: &LayerId,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let (layer, mounted) = mounted(parent, engine)?;
    let params = [("tree", tree.name())];
    let cell = Cell { params: &params, phase: change.name() };
    let entries = walk::entries(mounted.path())?.into_iter().filter(|entry| change.applies(entry)).collect();
    let entries = spread(entries, most);
    let before = entries.iter().map(|entry| examine(&entry.path)).collect::<Result<Vec<_>>>()?;
    // Names of the same file are changed one after the other, which would undo the change of the mode.
    let mut seen = HashSet::new();
    let wanted: Vec<_> = entries.iter().zip(&before).filter(|(_, found)| seen.insert(inode(found))).collect();
    engine.counters()?;
    let held = engine.driver().usage(&layer)?;
    let ((), cost) = metered(engine, |_| wanted.iter().try_for_each(|(entry, _)| change.apply(&entry.path)))?;
    let holds = engine.driver().usage(&layer)?;
    wanted.iter().try_for_each(|(entry, found)| change.check(&entry.path, found.mode()))?;
    let files = wanted.iter().filter(|(entry, _)| entry.kind.is_file()).count() as u64;
    let copied = holds.copied_up.files.saturating_sub(held.copied_up.files);
    if engine.driver().capabilities().sharing == Sharing::File && copied < files {
        return Err(Error::effect(format!("files copied up by {} of all", change.name()), files, copied));
    }
    cell.put_cost(recorder, &cost)?;
    cell.put_growth(recorder, held, holds)?;
    cell.put(recorder, "entries", Quantity::Count(wanted.len() as u64))?;
    mounted.close()?;
    OwnLayers::new(engine.driver(), NAME).remove(ROUND)
}

fn examine(path: &Path) -> Result<fs::Metadata> {
    fs::symlink_metadata(path).map_err(Error::io("examine", path))
}

/// Directories have numbers of their own kind on some union mounts, and but one name each.
fn inode(found: &fs::Metadata) -> (u64, u64, bool) {
    (found.dev(), found.ino(), found.is_dir())
}

fn look_and_storm(
    tree: Tree,
    parent: &LayerId,
    expected: Option<u64>,
    files: u64,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let (_, mounted) = mounted(parent, engine)?;
    let root = mounted.path();
    let params = [("tree", tree.name())];
    let cell = |phase| Cell { params: &params, phase };
    let count = |phase, entries: usize, recorder: &mut dyn Recorder| {
        cell(phase).put(recorder, "entries", Quantity::Count(entries as u64))
    };
    let found = cell("find").measure(engine, recorder, |_| walk::entries(root))?;
    let expected = expected.map_or_else(|| found.len().max(1), |expected| expected as usize);
    if found.len() != expected {
        return Err(Error::effect(format!("entries of the tree {}", tree.name()), expected, found.len()));
    }
    count("find", found.len(), recorder)?;
    let paths: Vec<PathBuf> = found.into_iter().map(|entry| entry.path).collect();
    let bytes = cell("stat")
        .measure(engine, recorder, |_| paths.iter().try_fold(0_u64, |sum, path| Ok(sum + examine(path)?.len())))?;
    if bytes == 0 {
        return Err(Error::effect(format!("sizes of the entries of {}", tree.name()), "some bytes", bytes));
    }
    count("stat", paths.len(), recorder)?;
    let storm = Storm::new(root, files)?;
    cell("create").measure(engine, recorder, |_| storm.create())?;
    storm.check("old-", files)?;
    cell("rename").measure(engine, recorder, |_| storm.rename())?;
    storm.check("new-", files)?;
    cell("unlink").measure(engine, recorder, |_| storm.unlink())?;
    storm.check("", 0)?;
    ["create", "rename", "unlink"].into_iter().try_for_each(|phase| count(phase, files as usize, recorder))?;
    mounted.close()?;
    OwnLayers::new(engine.driver(), NAME).remove(ROUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_taken_from_everywhere() {
        assert_eq!(spread((0..10).collect(), 4), [0, 3, 5, 8]);
        assert_eq!(spread((0..3).collect(), 3), [0, 1, 2]);
        assert_eq!(spread((0..3).collect(), 7), [0, 1, 2]);
        assert_eq!(spread((0..1001).collect(), 500).len(), 500);
    }
}
