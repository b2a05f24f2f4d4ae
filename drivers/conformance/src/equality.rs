//! One list of operations, every driver: the same trees, the same layer tars byte for byte, and tars that go from any driver to
//! any other.
//!
//! The list is made from a seed, and leaves out what drivers are declared to do differently (the cases look at that), so that
//! nothing at all may differ.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Instant};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use storage_driver::{Deviation, LayerId};
use storage_layer::Manifest;

use crate::{
    CaseReport, Clock, Context, Data, During, Filter, Op, Origins, Outcome, Report, Stop, Subject, Verdict,
    context::all,
    expectation::{equal, transferred},
    op::execute,
    property::operations,
    run::in_room_of_its_own,
    verdict::ensure,
};

/// Layers of the chain.
const LAYERS: usize = 6;
/// Lists of random operations that each layer is made of.
const BURSTS: usize = 20;

const GROUP: &str = "equality";
const TREES: &str = "same-trees";
const TARS: &str = "same-tars";
const EXCHANGE: &str = "exchange";

/// What is done to every driver, and what must come of it.
struct Script {
    layers: Vec<Vec<Op>>,
    /// The whole tree after each layer.
    trees: Vec<Manifest>,
}

/// Does the list of `seed` to every subject and compares them, as the cases `equality::...` that `filter` takes. A subject that
/// fails is left out of what the others are held against.
#[must_use]
pub fn run(subjects: &[&dyn Subject], seed: u64, filter: Filter<'_>) -> Report {
    let mut report = Report { cases: Vec::new() };
    let wanted = |name: &&str| filter.takes(&format!("{GROUP}::{name}"));
    if [TREES, TARS, EXCHANGE].iter().any(wanted) {
        report = compare(subjects, seed);
        report.cases.retain(|case| wanted(&case.name.as_str()));
    }
    report
}

fn compare(subjects: &[&dyn Subject], seed: u64) -> Report {
    let mut cases = Vec::new();
    let script = match Script::make(seed) {
        Ok(script) => script,
        Err(stop) => {
            cases.extend(subjects.iter().map(|subject| report(*subject, TREES, Instant::now(), Err(stop.clone()))));
            return Report { cases };
        }
    };
    let mut first: Option<(&str, Vec<Vec<u8>>)> = None;
    let mut exporters = Vec::new();
    for subject in subjects {
        let started = Instant::now();
        let mut tars = Vec::new();
        let verdict = in_room_of_its_own(*subject, |context| {
            tars = script.play(context)?;
            Ok(())
        });
        let passed = verdict.is_ok();
        cases.push(report(*subject, TREES, started, verdict));
        if !passed {
            continue;
        }
        exporters.push(*subject);
        if let Some((name, expected)) = &first {
            cases.push(report(*subject, TARS, Instant::now(), same_tars(name, expected, &tars)));
        } else {
            first = Some((subject.name(), tars));
        }
    }
    // The tars of all are the same bytes, or that was reported: each driver needs to take them once.
    if let Some((name, tars)) = &first {
        for subject in exporters {
            let started = Instant::now();
            let verdict = in_room_of_its_own(subject, |context| script.take_over(context, tars));
            let verdict = verdict.during(|| format!("the layers of {name}"));
            cases.push(report(subject, EXCHANGE, started, verdict));
        }
    }
    Report { cases }
}

fn report(subject: &dyn Subject, name: &str, started: Instant, verdict: Verdict) -> CaseReport {
    CaseReport {
        subject: subject.name().to_owned(),
        group: GROUP.to_owned(),
        name: name.to_owned(),
        outcome: match verdict {
            Ok(()) => Outcome::Passed,
            Err(Stop::Failed(text)) => Outcome::Failed(text),
            Err(Stop::NotApplicable(why)) => Outcome::NotApplicable(why),
        },
        duration: started.elapsed(),
    }
}

fn same_tars(name: &str, expected: &[Vec<u8>], found: &[Vec<u8>]) -> Verdict {
    for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
        let at = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
        ensure!(
            expected == found,
            "layer {} is a tar of {} bytes, and of {} bytes on {name}; they differ from byte {at} on",
            number + 1,
            found.len(),
            expected.len()
        );
    }
    Ok(())
}

impl Script {
    /// Tries random operations on a plain directory and keeps what succeeds there and is the same on every driver.
    fn make(seed: u64) -> Verdict<Self> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let oracle = tempfile::Builder::new().prefix("conformance-equality-").tempdir()?;
        all(oracle.path(), &[Op::chmod("", 0o755)])?;
        let mut clock = Clock::new();
        let mut script = Self { layers: Vec::new(), trees: Vec::new() };
        for _ in 0..LAYERS {
            let origins = script.trees.last().map(Origins::of).unwrap_or_default();
            let mut layer = Layer { root: oracle.path(), origins, clock: &mut clock, ops: Vec::new() };
            if script.trees.is_empty() {
                layer.stamp(Path::new(""))?;
            }
            if script.trees.is_empty() {
                foundation().into_iter().try_for_each(|op| layer.attempt(op))?;
            }
            for _ in 0..BURSTS {
                let burst = operations().new_tree(&mut runner);
                let burst = burst.map_err(|reason| Stop::failed(format!("no operations can be made: {reason}")))?;
                for op in burst.current() {
                    layer.attempt(op)?;
                }
            }
            script.layers.push(layer.ops);
            script.trees.push(Manifest::scan(oracle.path())?);
        }
        Ok(script)
    }

    /// Makes the chain by writing; returns the tars.
    fn play(&self, context: &Context<'_>) -> Verdict<Vec<Vec<u8>>> {
        let driver = context.driver();
        let mut tars = Vec::new();
        let mut parent: Option<LayerId> = None;
        for (number, (ops, tree)) in self.layers.iter().zip(&self.trees).enumerate() {
            let layer = context.sealed(&format!("layer-{number}"), parent.as_ref(), ops);
            let layer = layer.during(|| format!("layer {}", number + 1))?;
            let view = context.read(&layer)?;
            equal(tree, view.path()).during(|| format!("layer {}", number + 1))?;
            view.close()?;
            let mut tar = Vec::new();
            driver.diff(&layer, &mut tar)?;
            tars.push(tar);
            parent = Some(layer);
        }
        Ok(tars)
    }

    /// Makes the chain from tars, which must give the same trees, and the same tars again.
    fn take_over(&self, context: &Context<'_>, tars: &[Vec<u8>]) -> Verdict {
        let driver = context.driver();
        let mut parent: Option<LayerId> = None;
        for (number, (tar, tree)) in tars.iter().zip(&self.trees).enumerate() {
            let layer = context.create(&format!("layer-{number}"), parent.as_ref())?;
            driver.apply(&layer, &mut &**tar)?;
            driver.seal(&layer)?;
            let view = context.read(&layer)?;
            transferred(tree, &Manifest::scan(view.path())?).during(|| format!("layer {}", number + 1))?;
            view.close()?;
            let mut again = Vec::new();
            driver.diff(&layer, &mut again)?;
            ensure!(again == *tar, "layer {} is exported as other bytes than it came in", number + 1);
            parent = Some(layer);
        }
        Ok(())
    }
}

/// What there is to be changed, of every kind that a tar carries and every machine allows.
fn foundation() -> Vec<Op> {
    let mut ops = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let below = |rest: &str| format!("{name}/{rest}");
        ops.extend([
            Op::mkdir(name),
            Op::mkdir(below("a")),
            Op::mkdir_mode(below("a/b"), 0o1777),
            Op::file(below("a/a"), Data::Random { seed: 7, len: 20_000 }),
            Op::link(below("a/a"), below("linked")),
            Op::xattr(below("a/a"), "user.x", "value"),
            Op::file_mode(below("b"), "content", 0o4755),
            Op::file(below("sparse"), "start"),
            Op::truncate(below("sparse"), 300_000),
            Op::overwrite(below("sparse"), 200_000, "middle"),
            Op::symlink("a/a", below("symlink")),
            Op::fifo(below("fifo")),
        ]);
    }
    ops
}

/// A layer of the script while it is made.
struct Layer<'a> {
    root: &'a Path,
    origins: Origins,
    clock: &'a mut Clock,
    ops: Vec<Op>,
}

impl Layer<'_> {
    fn attempt(&mut self, op: Op) -> Verdict {
        if self.is_different(&op) || execute(self.root, &op).is_err() {
            return Ok(());
        }
        self.origins.after(&op);
        let touched: Vec<_> = op.touched().iter().map(|path| path.to_path_buf()).collect();
        self.ops.push(op);
        touched.iter().try_for_each(|path| self.stamp(path))
    }

    fn stamp(&mut self, path: &Path) -> Verdict {
        let stamp = self.clock.stamp(path);
        execute(self.root, &stamp)?;
        self.ops.push(stamp);
        Ok(())
    }

    /// Whether a driver may declare to do it differently; a new [`Deviation`] must be thought of here.
    fn is_different(&self, op: &Op) -> bool {
        let of = |deviation: &Deviation| match deviation {
            Deviation::RenameParentDirectory => {
                matches!(op, Op::Rename { from, .. } if self.origins.is_directory(from))
            }
            Deviation::HardLinkBreaks => self.written(op).is_some_and(|about| about.nlink() > 1),
            Deviation::CopyUpFillsHoles => {
                self.written(op).is_some_and(|about| about.is_file() && about.blocks() * 512 < about.size())
            }
            Deviation::StaleReadDescriptor => false,
        };
        const ALL: [Deviation; 4] = [
            Deviation::RenameParentDirectory,
            Deviation::StaleReadDescriptor,
            Deviation::HardLinkBreaks,
            Deviation::CopyUpFillsHoles,
        ];
        ALL.iter().any(of)
    }

    /// The parent's file that this writes to for the first time.
    fn written(&self, op: &Op) -> Option<fs::Metadata> {
        let path = op.writes_to().filter(|path| self.origins.is_other(path))?;
        fs::symlink_metadata(self.root.join(path)).ok().filter(|about| !about.is_dir())
    }
}

#[cfg(test)]
mod tests {
    use storage_layer::Kind;

    use super::*;
    use crate::memory;

    #[test]
    fn the_list_is_worth_its_name() {
        let script = Script::make(1).unwrap();
        let operations: usize = script.layers.iter().map(Vec::len).sum();
        let deletions =
            script.layers[1..].iter().flatten().filter(|op| matches!(op, Op::Remove { .. } | Op::RemoveAll { .. }));
        assert!(operations > 200 && deletions.count() > 5, "{operations} operations");
        let kinds = script.trees.iter().flat_map(|tree| tree.entries.values());
        let (mut files, mut others) = (0, 0);
        for entry in kinds {
            match entry.kind {
                Kind::File { .. } => files += 1,
                _ => others += 1,
            }
        }
        assert!(files > 10 && others > 10, "{files} files, {others} others");
        assert_eq!(script.layers, Script::make(1).unwrap().layers);
        assert_ne!(script.layers, Script::make(2).unwrap().layers);
    }

    #[test]
    fn a_driver_equals_itself() {
        let (one, other) = (memory(), memory());
        let report = run(&[&one, &other], 1, Filter::default());
        assert!(report.is_ok(), "{}", report.to_table());
        assert_eq!(report.counts().passed, 5);
    }

    #[test]
    fn other_bytes_are_told() {
        let told = same_tars("vfs", &[vec![1, 2, 3]], &[vec![1, 9]]).unwrap_err();
        assert!(matches!(told, Stop::Failed(text) if text.contains("from byte 1 on") && text.contains("on vfs")));
    }
}
