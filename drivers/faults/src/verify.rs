//! What must hold after a fault, whatever it was.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use storage_driver::{LayerId, LayerState, StorageDriver};
use storage_layer::{Manifest, Rules};
use storage_sys::mountinfo;

use crate::{
    Subject,
    baseline::Footprint,
    content::{Oracle, write_work},
    devices,
    look::{Layers, Seen, look},
    operation::{Content, Due, Operation, Shape, id, labels},
    operations::layer,
};

/// How many differences of one tree are told.
const TOLD: usize = 4;

/// What is known of a root before the fault.
#[derive(Debug)]
pub struct Known<'a> {
    pub operation: &'a Operation,
    pub oracle: &'a Oracle,
    pub before: &'a Layers,
    /// Whether a write or a sync was made to fail, so that a layer which is not sealed may say that it has lost what was written.
    pub may_lose: bool,
}

impl Known<'_> {
    /// What is wrong with the layers that `driver` shows, given what is due.
    pub fn problems(&self, driver: &dyn StorageDriver, due: Due) -> Vec<String> {
        let found = match look(driver) {
            Ok(found) => found,
            Err(problem) => return vec![problem],
        };
        let mut problems = Vec::new();
        let fates = self.operation.fates;
        let touched: BTreeSet<&str> = fates.iter().map(|fate| fate.id).collect();
        for (id, before) in self.before.iter().filter(|(id, _)| !touched.contains(id.as_str())) {
            let durable = before.info.state == LayerState::Sealed || !due.is_without_power();
            match found.get(id) {
                None if durable => problems.push(format!("layer {id} is lost")),
                Some(seen) if !durable && seen.info.state == LayerState::Writable => {}
                None => {}
                Some(seen) => self.untouched(id, before, seen, due, &mut problems),
            }
        }
        for fate in fates {
            let Ok(id) = LayerId::new(fate.id) else { continue };
            let seen = found.get(&id);
            let shape = Shape::of(seen.map(|seen| seen.info.state));
            let sealed = self.before.get(&id).is_some_and(|before| before.info.state == LayerState::Sealed);
            let allowed = fate.shapes(due, sealed);
            if !allowed.contains(&shape) {
                problems.push(format!("layer {id} is {shape:?} and should be one of {allowed:?}"));
            } else if let Some(seen) = seen {
                self.touched(&id, fate.content, seen, due, &mut problems);
            }
        }
        let strange = found.keys().filter(|id| !self.before.contains_key(id) && !touched.contains(id.as_str()));
        let lost = found.iter().filter(|(_, seen)| seen.content.is_none());
        let wrong = lost.filter(|(_, seen)| !self.may_lose || seen.info.state == LayerState::Sealed);
        problems.extend(wrong.map(|(id, _)| format!("layer {id} is said to have lost what was written to it")));
        problems.extend(strange.map(|id| format!("layer {id} is there and was never made")));
        problems
    }

    fn untouched(&self, id: &LayerId, before: &Seen, seen: &Seen, due: Due, problems: &mut Vec<String>) {
        kept(id, before, seen, problems);
        let mut info = seen.info.clone();
        if self.operation.relabels == Some(id.as_str()) {
            let old = info.labels == before.info.labels;
            let new = info.labels == labels("new");
            let right = match due {
                Due::Crashed | Due::Unpowered => old || new,
                Due::Failed => old,
                Due::Done | Due::DoneUnpowered => new,
            };
            if !right {
                problems.push(format!("layer {id} has the labels {:?}", info.labels));
            }
            info.labels.clone_from(&before.info.labels);
            info.updated = before.info.updated;
        }
        if info != before.info {
            problems.push(format!("layer {id} was {:?} and is {info:?}", before.info));
        }
    }

    fn touched(&self, id: &LayerId, content: Content, seen: &Seen, due: Due, problems: &mut Vec<String>) {
        let Some(holds) = &seen.content else { return };
        let like = |expected: &Manifest, problems: &mut Vec<String>| {
            let rules = Rules { ignore_times: true, ignore_holes: true, ..Rules::default() };
            differences(id, expected, &holds.manifest, &rules, problems);
        };
        match content {
            // What was written to a layer that was never sealed is as durable as the file system made it.
            _ if due.is_without_power() && seen.info.state == LayerState::Writable => {}
            Content::Kept => {
                if let Some(before) = self.before.get(id) {
                    kept(id, before, seen, problems);
                }
            }
            Content::Is(expected) => like(expected(self.oracle), problems),
            Content::Becomes(expected) if due == Due::Done || seen.info.state == LayerState::Sealed => {
                like(expected(self.oracle), problems);
            }
            Content::Becomes(_) => {}
        }
    }
}

fn kept(id: &LayerId, before: &Seen, seen: &Seen, problems: &mut Vec<String>) {
    let (Some(before), Some(seen)) = (&before.content, &seen.content) else { return };
    let known = problems.len();
    differences(id, &before.manifest, &seen.manifest, &Rules::default(), problems);
    if problems.len() == known && before.diff != seen.diff {
        problems.push(format!("layer {id} looks as before, and its diff is another"));
    }
}

fn differences(id: &LayerId, expected: &Manifest, found: &Manifest, rules: &Rules, problems: &mut Vec<String>) {
    let all = expected.compare(found, rules);
    let told = all.iter().take(TOLD).map(|difference| format!("layer {id}: {difference}"));
    problems.extend(told);
    if all.len() > TOLD {
        problems.push(format!("layer {id}: and {} differences more", all.len() - TOLD));
    }
}

/// Opens the driver on what the fault has left, and looks whether everything is as it may be, can be used, and
/// gives its space back.
pub fn verify(subject: &dyn Subject, root: &Path, known: &Known<'_>, due: Due, baseline: &Footprint) -> Vec<String> {
    let mut problems = Vec::new();
    match subject.open(root) {
        Err(error) => return vec![format!("it does not open: {error}")],
        Ok(driver) => {
            problems.extend(known.problems(&*driver, due));
            problems.extend(left_in(root));
            finish(driver, root, &mut problems);
        }
    }
    match subject.open(root) {
        Err(error) => problems.push(format!("it does not open a second time: {error}")),
        Ok(driver) => {
            let again = driver.recovered();
            if !again.is_empty() {
                problems.push(format!("the second opening found leftovers again: {again:?}"));
            }
            if let Err(what) = use_it(&*driver).and_then(|()| remove_all(&*driver)) {
                problems.push(what);
            }
            finish(driver, root, &mut problems);
        }
    }
    problems.extend(subject.leaks(root));
    match baseline.beyond(root) {
        Ok(beyond) => problems.extend(beyond),
        Err(error) => problems.push(format!("the emptied root cannot be read: {error}")),
    }
    problems
}

/// Half-made and half-removed layers, and holds of processes that have ended, where roots keep them.
fn left_in(root: &Path) -> Vec<String> {
    let entries =
        ["staging", "trash", "held"].into_iter().filter_map(|dir| std::fs::read_dir(root.join(dir)).ok()).flatten();
    entries.flatten().map(|entry| format!("{} is left over after opening", entry.path().display())).collect()
}

/// A layer on the topmost sealed one can be made, written, sealed and removed.
fn use_it(driver: &dyn StorageDriver) -> Result<(), String> {
    let work = || {
        let sealed =
            driver.list()?.into_iter().any(|info| info.id.as_str() == "middle" && info.state == LayerState::Sealed);
        if sealed {
            layer(driver, "after", Some("middle"), write_work)?;
            driver.seal(&id("after")?)?;
            driver.remove(&id("after")?)?;
        }
        Ok(())
    };
    work().map_err(|error: storage_driver::Error| format!("it cannot be used any more: {error}"))
}

fn remove_all(driver: &dyn StorageDriver) -> Result<(), String> {
    let listed = driver.list().map_err(|error| format!("list: {error}"))?;
    for info in listed.iter().rev() {
        driver.remove(&info.id).map_err(|error| format!("removing layer {}: {error}", info.id))?;
    }
    match driver.list() {
        Ok(rest) if rest.is_empty() => Ok(()),
        Ok(rest) => Err(format!("{} layers are still listed after their removal", rest.len())),
        Err(error) => Err(format!("list: {error}")),
    }
}

fn finish(driver: Arc<dyn StorageDriver>, root: &Path, problems: &mut Vec<String>) {
    if let Err(error) = driver.shutdown() {
        problems.push(format!("it does not shut down: {error}"));
    }
    drop(driver);
    match mountinfo::below(root) {
        Ok(mounts) => {
            let points = mounts.iter().filter(|mount| mount.mount_point != root);
            problems.extend(points.map(|mount| format!("{} stays mounted", mount.mount_point.display())));
        }
        Err(error) => problems.push(format!("the mounts cannot be read: {error}")),
    }
    problems.extend(devices::left_below(root));
}
