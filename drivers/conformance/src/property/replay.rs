use std::{collections::BTreeMap, path::Path, sync::Arc};

use driver_memory::MemoryDriver;
use storage_driver::{CreateOptions, Error, LayerId, LayerState, MountMode, StorageDriver};
use storage_layer::Manifest;

use super::Step;
use crate::{
    Clock, Context, During, Origins, Pair, Stop, Subject, Verdict,
    context::id,
    expectation::{same, transferred},
    verdict::ensure,
};

/// Does `steps` to the subject and to the model, and compares both all along.
pub fn replay(context: &Context<'_>, subject: &dyn Subject, steps: &[Step], reached: &dyn Fn()) -> Verdict {
    let model = MemoryDriver::open(&context.directory("model")?)?;
    let mut replay = Replay {
        context,
        driver: Some(context.driver()),
        model,
        clock: Clock::new(),
        origins: BTreeMap::new(),
        siblings: 0,
    };
    for (number, step) in steps.iter().enumerate() {
        reached();
        if matches!(step, Step::Reopen) && !subject.is_persistent() {
            continue;
        }
        replay.step(step).during(|| format!("step {} ({})", number + 1, name(step)))?;
    }
    replay.compare_everything().during(|| "at the end".to_owned())
}

fn name(step: &Step) -> String {
    match step {
        Step::Change { layer, .. } => format!("change layer {layer}"),
        other => format!("{other:?}"),
    }
}

struct Replay<'c, 'a> {
    context: &'c Context<'a>,
    /// Absent only while it is reopened.
    driver: Option<Arc<dyn StorageDriver>>,
    model: MemoryDriver,
    clock: Clock,
    /// Per layer, the names that still stand for what they were in the parent.
    origins: BTreeMap<LayerId, Origins>,
    siblings: usize,
}

fn layer_id(number: usize) -> LayerId {
    id(&format!("layer-{number}"))
}

impl Replay<'_, '_> {
    fn driver(&self) -> Arc<dyn StorageDriver> {
        self.driver.clone().unwrap_or_else(|| self.context.driver())
    }

    fn step(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Create { layer, parent } => self.create(&layer_id(*layer), parent.map(layer_id).as_ref()),
            Step::Change { layer, ops } => self.change(&layer_id(*layer), ops),
            Step::Seal { layer } => {
                let id = layer_id(*layer);
                alike(self.driver().seal(&id), self.model.seal(&id)).map(drop)
            }
            Step::Remove { layer } => {
                let id = layer_id(*layer);
                if alike(self.driver().remove(&id), self.model.remove(&id))?.is_some() {
                    self.origins.remove(&id);
                }
                Ok(())
            }
            Step::Compare { layer } => self.compare(&layer_id(*layer)),
            Step::Exchange { layer } => self.exchange(&layer_id(*layer)),
            Step::Reopen => {
                self.driver = None;
                self.driver = Some(self.context.reopen()?);
                self.compare_lists()
            }
        }
    }

    fn create(&mut self, id: &LayerId, parent: Option<&LayerId>) -> Verdict {
        let options = CreateOptions::default();
        let made = alike(self.driver().create(id, parent, &options), self.model.create(id, parent, &options))?;
        if made.is_none() {
            return Ok(());
        }
        let origins = match parent {
            None => Origins::default(),
            Some(parent) => {
                let view = self.model.mount(parent, MountMode::ReadOnly)?;
                let origins = Origins::of(&Manifest::scan(view.path())?);
                view.close()?;
                origins
            }
        };
        self.origins.insert(id.clone(), origins);
        if parent.is_none() {
            // A fresh root carries the time at which it was made.
            let stamp = self.clock.stamp(Path::new(""));
            self.change(id, &[stamp])?;
        }
        Ok(())
    }

    fn change(&mut self, id: &LayerId, ops: &[crate::Op]) -> Verdict {
        let driver = self.driver();
        let mode = MountMode::ReadWrite;
        let Some((layer, oracle)) = alike(driver.mount(id, mode), self.model.mount(id, mode))? else { return Ok(()) };
        let deviations = &driver.capabilities().deviations;
        let pair = Pair { layer: layer.path(), oracle: oracle.path(), deviations };
        let origins = self.origins.entry(id.clone()).or_default();
        for op in ops {
            _ = pair.apply(op, origins, &mut self.clock)?;
        }
        same(&Manifest::scan(oracle.path())?, &Manifest::scan(layer.path())?)
            .during(|| "the mounted tree".to_owned())?;
        layer.close()?;
        oracle.close()?;
        self.compare_changes(id)
    }

    fn compare_changes(&self, id: &LayerId) -> Verdict {
        if let Some((found, expected)) = alike(self.driver().changes(id), self.model.changes(id))? {
            let lines =
                |changes: &[storage_driver::Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
            ensure!(found == expected, "expected the changes {:?}, found {:?}", lines(&expected), lines(&found));
        }
        Ok(())
    }

    fn compare(&self, id: &LayerId) -> Verdict {
        let (driver, mode) = (self.driver(), MountMode::ReadOnly);
        let Some((layer, oracle)) = alike(driver.mount(id, mode), self.model.mount(id, mode))? else { return Ok(()) };
        same(&Manifest::scan(oracle.path())?, &Manifest::scan(layer.path())?)?;
        layer.close()?;
        oracle.close()?;
        self.compare_changes(id)
    }

    fn exchange(&mut self, id: &LayerId) -> Verdict {
        let driver = self.driver();
        let (mut found, mut expected) = (vec![], vec![]);
        if alike(driver.diff(id, &mut found), self.model.diff(id, &mut expected))?.is_none() {
            return Ok(());
        }
        ensure!(found == expected, "the tars differ: {} and {} bytes", found.len(), expected.len());
        let parent = driver.stat(id)?.parent;
        self.siblings += 1;
        let sibling = crate::context::id(&format!("sibling-{}", self.siblings));
        let view = self.model.mount(id, MountMode::ReadOnly)?;
        let tree = Manifest::scan(view.path())?;
        view.close()?;
        for side in [&*driver, &self.model as &dyn StorageDriver] {
            side.create(&sibling, parent.as_ref(), &CreateOptions::default())?;
            side.apply(&sibling, &mut &*found)?;
            let view = side.mount(&sibling, MountMode::ReadOnly)?;
            transferred(&tree, &Manifest::scan(view.path())?).during(|| format!("the sibling on {}", side.name()))?;
            view.close()?;
            side.remove(&sibling)?;
        }
        Ok(())
    }

    fn compare_lists(&self) -> Verdict {
        let list = |driver: &dyn StorageDriver| -> Verdict<Vec<(LayerId, Option<LayerId>, LayerState)>> {
            Ok(driver.list()?.into_iter().map(|info| (info.id, info.parent, info.state)).collect())
        };
        let (found, expected) = (list(&*self.driver())?, list(&self.model)?);
        ensure!(found == expected, "expected the layers {expected:?}, found {found:?}");
        Ok(())
    }

    fn compare_everything(&self) -> Verdict {
        self.compare_lists()?;
        for info in self.model.list()? {
            self.compare(&info.id).during(|| format!("layer {}", info.id))?;
        }
        Ok(())
    }
}

/// Both answers, if both succeeded; nothing if both failed for the same reason.
fn alike<A, B>(found: Result<A, Error>, expected: Result<B, Error>) -> Verdict<Option<(A, B)>> {
    match (found, expected) {
        (Ok(found), Ok(expected)) => Ok(Some((found, expected))),
        (Err(found), Err(expected)) if variant(&found) == variant(&expected) => Ok(None),
        (Err(found), Err(expected)) => Err(Stop::failed(format!("expected the error {expected:?}, got {found:?}"))),
        (Ok(_), Err(expected)) => Err(Stop::failed(format!("expected the error {expected:?}, but it succeeded"))),
        (Err(found), Ok(_)) => Err(Stop::failed(format!("expected success, got {found:?}"))),
    }
}

/// Which kind of error it is: its variant's name, which its debug form begins with.
fn variant(error: &Error) -> String {
    format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}
