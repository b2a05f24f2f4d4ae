//! What is held after each iteration.

use std::{
    fs::{self, File},
    io::Write,
    thread,
    time::{Duration, Instant},
};

use storage_driver::{Bytes, CreateOptions, LayerId, MountMode};

use super::{Cell, Engine, Error, Holdings, Quantity, Recorder, Result};
use crate::slope::slope;

/// Drivers may give space back later; they have this long.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// Each time a file of so many bytes is written, to see in how many pieces it comes to lie.
const PROBE: usize = 8 << 20;
const CHUNK: usize = 64 << 10;

/// After every iteration: what is held, and the pieces of a new file.
#[derive(Debug, Default)]
pub(super) struct Trace {
    held: Vec<Holdings>,
    extents: Vec<u64>,
    /// The most that an iteration's layers took.
    written: u64,
    /// How long the last iteration's space took to come back.
    waited: Vec<Duration>,
}

impl Trace {
    /// Looks at what is held now, after an iteration whose layers took `written` bytes.
    pub(super) fn add(&mut self, engine: &mut dyn Engine, written: u64) -> Result<()> {
        self.written = self.written.max(written);
        self.extents.extend(probe(engine)?);
        let started = Instant::now();
        engine.driver().wait_for_space()?;
        let mut held = engine.holdings()?;
        while self.lacks(held) && started.elapsed() < PATIENCE {
            thread::sleep(PAUSE);
            held = engine.holdings()?;
        }
        self.waited.push(started.elapsed());
        self.held.push(held);
        Ok(())
    }

    /// Whether space that the first iteration gave back is not back yet.
    fn lacks(&self, held: Holdings) -> bool {
        self.held.first().is_some_and(|first| (held - *first).disk.is_some_and(|more| more > self.allowance()))
    }

    /// A file system's own bookkeeping grows a little; a tenth of what an iteration took is no bookkeeping.
    fn allowance(&self) -> Bytes {
        Bytes((self.written / 10).max(1 << 20))
    }

    /// The slopes by iteration.
    pub(super) fn record(&self, recorder: &mut dyn Recorder) -> Result<()> {
        let cell = Cell { params: &[], phase: "leaks" };
        let mut put = |name: &str, values: Vec<f64>| {
            cell.put(recorder, &format!("{name}_slope"), Quantity::Ratio(slope(&values)))
        };
        let names = Holdings::default().counts().map(|(name, _)| name);
        for (index, name) in names.into_iter().enumerate() {
            put(name, self.held.iter().map(|held| held.counts()[index].1 as f64).collect())?;
        }
        let disk: Vec<f64> = self.held.iter().filter_map(|held| held.disk).map(|disk| disk.get() as f64).collect();
        if !disk.is_empty() {
            put("disk_bytes", disk)?;
        }
        if !self.extents.is_empty() {
            put("extents", self.extents.iter().map(|&count| count as f64).collect())?;
        }
        let cell = Cell { params: &[], phase: "space back" };
        self.waited.iter().try_for_each(|waited| cell.put(recorder, "wall", Quantity::Time(*waited)))
    }

    /// After the last iteration all is as after the first.
    pub(super) fn check(&self) -> Result<()> {
        let (Some(first), Some(last)) = (self.held.first(), self.held.last()) else { return Ok(()) };
        for ((name, before), (_, after)) in first.counts().into_iter().zip(last.counts()) {
            if before != after {
                let what = format!("{name} after {} iterations", self.held.len());
                return Err(Error::effect(what, before, after));
            }
        }
        let more = (*last - *first).disk.unwrap_or_default();
        if self.lacks(*last) {
            let what = format!("disk space that {} iterations took for good", self.held.len() - 1);
            return Err(Error::effect(what, format!("at most {}", self.allowance()), more));
        }
        Ok(())
    }
}

/// Writes a file into a new layer, and counts its pieces; nothing of it stays.
fn probe(engine: &mut dyn Engine) -> Result<Option<u64>> {
    let id = LayerId::new("churn-probe")?;
    engine.driver().create(&id, None, &CreateOptions::default())?;
    let counted = (|| {
        let mounted = engine.driver().mount(&id, MountMode::ReadWrite)?;
        let path = mounted.path().join("probe");
        let written = write(&path).and_then(|()| engine.extents(&path));
        let removed = fs::remove_file(&path).map_err(Error::io("remove", &path));
        let closed = mounted.close().map_err(Error::from);
        let counted = written?;
        removed.and(closed).map(|()| counted)
    })();
    let removed = engine.driver().remove(&id).map_err(Error::from);
    let counted = counted?;
    removed.map(|()| counted)
}

fn write(path: &std::path::Path) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io("create", path))?;
    let chunk = vec![0x5a; CHUNK];
    (0..PROBE / CHUNK).try_for_each(|_| file.write_all(&chunk)).map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(layers: u64, disk: u64) -> Holdings {
        Holdings { layers, disk: Some(Bytes(disk)), ..Holdings::default() }
    }

    fn trace(held: Vec<Holdings>) -> Trace {
        Trace { held, written: 20 << 20, ..Trace::default() }
    }

    #[test]
    fn what_comes_back_is_fine_and_what_does_not_is_told() {
        trace(vec![held(1, 100), held(1, 5_000), held(1, 100)]).check().unwrap();
        let error = trace(vec![held(1, 100), held(2, 100)]).check().unwrap_err().to_string();
        assert!(error.contains("layers after 2 iterations"), "{error}");
        let error = trace(vec![held(1, 100), held(1, 100 + (3 << 20))]).check().unwrap_err().to_string();
        assert!(error.contains("disk space"), "{error}");
    }
}
