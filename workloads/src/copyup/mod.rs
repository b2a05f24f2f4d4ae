//! What the first write to a file of the parent costs, and what the next one does.

mod operation;

use std::{fs, path::Path};

use storage_driver::{Bytes, LayerId, MountMode, Sharing, Usage};

use crate::{
    Engine, Error, Param, Params, Recorder, Result, Room, Scratch, Workload,
    content::Seed,
    ids,
    measure::{Cell, metered, unless_stopped},
    own_layers::{OwnLayers, ROUND},
};

use self::operation::{OPERATIONS, Operation, Target, Turn};

/// The workload `copyup`.
#[derive(Debug)]
pub(crate) struct CopyUp;

const NAME: &str = "copyup";
const DIRECTORY: &str = "data";
const LARGEST: u64 = 16 << 30;
const DEEPEST: u64 = 1000;

impl Workload for CopyUp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "the first and the second write to a file of the parent, by its size, the kind of write, and the depth"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("sizes", "4096,65536,1048576,16777216", "4096,1048576", "bytes of the file, with commas"),
            param("operations", "all", "all", "all, or some with commas: append, overwrite, truncate, mmap, ..."),
            param("depths", "1,8", "1", "how many layers down the file lies, with commas"),
        ]
    }

    fn room(&self, params: &Params) -> Result<Option<Room>> {
        Grid::of(params).map(|grid| Some(grid.room()))
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        Grid::of(params)?;
        Seed::keep(seed, scratch)
    }

    fn prepare(&self, params: &Params, scratch: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        let grid = Grid::of(params)?;
        let seed = Seed::of(scratch)?;
        let own = OwnLayers::new(engine.driver(), NAME);
        let mut top = own.sealed(&base(1), None, |root| {
            let dir = root.join(DIRECTORY);
            fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
            grid.targets(root, seed).iter().try_for_each(|target| {
                if target.operation == Operation::Move {
                    target.path.parent().map_or(Ok(()), fs::create_dir).map_err(Error::io("create", &target.path))?;
                }
                target.content.write(&target.path, target.size)
            })
        })?;
        for depth in 2..=grid.deepest(engine) {
            unless_stopped(engine)?;
            let own = OwnLayers::new(engine.driver(), NAME);
            top = own.sealed(&base(depth), Some(&top), |root| {
                let path = root.join(format!("layer-{depth}"));
                fs::write(&path, "a layer above\n").map_err(Error::io("write", path))
            })?;
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
        let mut grid = Grid::of(params)?;
        if grid.operations.contains(&Operation::Chown) && !ids::can_give_away(scratch.path())? {
            grid.operations.retain(|operation| *operation != Operation::Chown);
            engine.leave_out("the cells op=chown of the workload copyup", ids::WHY_NOT);
        }
        let deepest = grid.deepest(engine);
        for &depth in &grid.depths {
            if depth > deepest {
                let why = format!("the driver mounts at most {} layers", deepest + 1);
                engine.leave_out(&format!("depth {depth} of the workload copyup"), &why);
                continue;
            }
            at_depth(depth, &grid, Seed::of(scratch)?, engine, recorder)?;
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

fn base(depth: u64) -> String {
    format!("base-{depth}")
}

/// What is combined with what.
#[derive(Debug)]
struct Grid {
    sizes: Vec<u64>,
    operations: Vec<Operation>,
    depths: Vec<u64>,
}

impl Grid {
    fn of(params: &Params) -> Result<Self> {
        Ok(Self {
            // Half of half of it must be something.
            sizes: params.numbers("sizes", 4..=LARGEST)?,
            operations: params.choices("operations", &OPERATIONS)?,
            depths: params.numbers("depths", 1..=DEEPEST)?,
        })
    }

    /// As deep as is asked for and the driver goes, with the writable layer on top.
    fn deepest(&self, engine: &dyn Engine) -> u64 {
        let limit = engine.driver().capabilities().max_depth.map_or(u64::MAX, u64::from).saturating_sub(1);
        self.depths.iter().copied().max().unwrap_or(1).min(limit)
    }

    /// The files, the layers up to the deepest, and the writable one on top, in which every file is changed.
    fn room(&self) -> Room {
        let all = |files: usize| {
            self.sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size)).saturating_mul(files as u64)
        };
        let stay = self.operations.iter().filter(|operation| **operation != Operation::Unlink).count();
        Room {
            content: Bytes(all(self.operations.len())),
            above: self.depths.iter().copied().max().unwrap_or(1),
            changed_files: (stay * self.sizes.len()) as u64,
            changed: Bytes(all(stay)),
            parameters: "sizes, operations or depths",
        }
    }

    /// One file for each combination.
    fn targets(&self, root: &Path, seed: Seed) -> Vec<Target> {
        let of = |(size, operation): (u64, Operation)| {
            let name = format!("{}-{size}", operation.name());
            let path = match operation {
                Operation::Move => root.join(DIRECTORY).join(&name).join("file"),
                _ => root.join(DIRECTORY).join(&name),
            };
            Target { operation, path, size, content: seed.content(&name) }
        };
        let pairs = self.sizes.iter().flat_map(|size| self.operations.iter().map(|operation| (*size, *operation)));
        pairs.map(of).collect()
    }
}

fn at_depth(depth: u64, grid: &Grid, seed: Seed, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
    let own = OwnLayers::new(engine.driver(), NAME);
    let parent = own.id(&base(depth))?;
    let layer = own.create(ROUND, Some(&parent))?;
    let mounted = engine.driver().mount(&layer, MountMode::ReadWrite)?;
    // The first entry that changes copies the directory up; that is no file's cost.
    let opened = mounted.path().join(DIRECTORY).join("opened");
    fs::write(&opened, "").map_err(Error::io("write", &opened))?;
    for target in grid.targets(mounted.path(), seed) {
        unless_stopped(engine)?;
        one(&target, depth, &layer, engine, recorder)?;
    }
    mounted.close()?;
    let own = OwnLayers::new(engine.driver(), NAME);
    own.mounted(&parent, MountMode::ReadOnly, |root| untouched(&grid.targets(root, seed)))?;
    own.remove(ROUND)
}

fn one(
    target: &Target,
    depth: u64,
    layer: &LayerId,
    engine: &mut dyn Engine,
    recorder: &mut dyn Recorder,
) -> Result<()> {
    let (depth, size) = (depth.to_string(), target.size.to_string());
    let params = [("depth", depth.as_str()), ("op", target.operation.name()), ("size", size.as_str())];
    // What others wrote has its blocks by then.
    engine.counters()?;
    let mut before = engine.driver().usage(layer)?;
    for &turn in target.operation.turns() {
        let cell = Cell { params: &params, phase: turn.name() };
        let ((), cost) = metered(engine, |engine| target.perform(turn, engine))?;
        let after = engine.driver().usage(layer)?;
        target.check(turn)?;
        check_copied(target, turn, engine.driver().capabilities().sharing, before, after)?;
        cell.put_cost(recorder, &cost)?;
        cell.put_growth(recorder, before, after)?;
        before = after;
    }
    Ok(())
}

/// Whether the driver copied what its way of sharing makes it copy. How much more it took is what is measured.
fn check_copied(target: &Target, turn: Turn, sharing: Sharing, before: Usage, after: Usage) -> Result<()> {
    let files = after.copied_up.files.saturating_sub(before.copied_up.files);
    let bytes = after.copied_up.bytes - before.copied_up.bytes;
    let taken = after.exclusive - before.exclusive;
    let (operation, size) = (target.operation, target.size);
    let wrong = |what: &str, expected: &str, found: &dyn ToString| {
        let what = format!("{what} by the {} {} of {size} bytes", turn.name(), operation.name());
        Err(Error::effect(what, expected, found.to_string()))
    };
    let copies = turn == Turn::First && operation.stays();
    match sharing {
        Sharing::File if copies && files != 1 => wrong("files copied up", "1", &files),
        Sharing::File if copies && operation.writes() && bytes < kept(target) => {
            wrong("bytes copied up", &format!("{} or more", kept(target)), &bytes)
        }
        Sharing::File if turn == Turn::Second && files != 0 => wrong("files copied up", "0", &files),
        Sharing::None | Sharing::Block(_) if files != 0 => wrong("files copied up", "0", &files),
        Sharing::None if before.exclusive < Bytes(size) => {
            wrong("what a full copy held", &format!("{size} bytes or more"), &before.exclusive)
        }
        Sharing::Block(block) if copies && has_blocks_of_its_own(target, block) && taken == Bytes(0) => {
            wrong("bytes taken", "a block", &taken)
        }
        _ => Ok(()),
    }
}

/// Whether the write takes a block that no other file's write can have taken before: a block larger than the file
/// system's own holds the ends of neighbours, too, and only the middle of a file of two blocks is surely all its own. What is
/// shorter than a block may have none: file systems keep it where they keep its inode.
fn has_blocks_of_its_own(target: &Target, block: u64) -> bool {
    let own = crate::content::BLOCK as u64;
    let is_file_systems = block <= own && target.size >= own;
    match target.operation {
        Operation::Overwrite | Operation::Mmap => is_file_systems || target.size >= 2 * block,
        Operation::Append => is_file_systems,
        _ => false,
    }
}

/// What of the parent's file is in the layer's own after the first write.
fn kept(target: &Target) -> Bytes {
    if target.operation == Operation::Truncate { Bytes(target.size / 2) } else { Bytes(target.size) }
}

/// The parent has all its files as they were.
fn untouched(targets: &[Target]) -> Result<()> {
    for Target { path, size, content, .. } in targets {
        let found = fs::symlink_metadata(path).map_err(Error::io("examine", path))?.len();
        if found != *size {
            return Err(Error::effect(format!("size of {} in the parent", path.display()), size, found));
        }
        if *size >= crate::content::BLOCK as u64 {
            content.check(path, 0)?;
        }
    }
    Ok(())
}
