//! Reading one image through many containers at once: what is read from the device, and what is cached twice.

mod pattern;

use std::{path::Path, thread};

use storage_driver::{Bytes, MountMode, MountedLayer};

use crate::{
    Engine, Error, Param, Params, Quantity, Recorder, Result, Room, Scratch, Workload,
    content::{BLOCK, Seed},
    measure::{Cell, Cost, metered, unless_stopped},
    own_layers::{OwnLayers, ROUND},
};

use self::pattern::{Files, PATTERNS, Pattern, Seen};

/// The workload `read`.
#[derive(Debug)]
pub(crate) struct Read;

const NAME: &str = "read";
const IMAGE: &str = "image";
const MOST: u64 = 512;
const CACHED: &str = "warm";
const UNCACHED: &str = "cold";

impl Workload for Read {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "reading one image through several containers at once, cold and warm"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("containers", "1,8", "1,4", "how many containers read at once, with commas"),
            param("patterns", "all", "all", "all, or some with commas: sequential, random"),
            param("files", "32", "8", "files of the image"),
            param("size", "1048576", "1048576", "bytes of each, in whole blocks of 4096"),
            param("blocks", "16", "16", "blocks of each file that random readers read"),
        ]
    }

    fn room(&self, params: &Params) -> Result<Option<Room>> {
        let (files, size) = shape(params)?;
        let most = containers(params)?.into_iter().max().unwrap_or(1);
        let content = Bytes(files.saturating_mul(size));
        Ok(Some(Room { content, above: most, parameters: "files, size or containers", ..Room::default() }))
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        Seed::keep(seed, scratch)?;
        containers(params)?;
        params.choices("patterns", &PATTERNS)?;
        files(params, scratch).map(drop)
    }

    fn prepare(&self, params: &Params, scratch: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        let files = files(params, scratch)?;
        OwnLayers::new(engine.driver(), NAME).sealed(IMAGE, None, |root| files.make(root)).map(drop)
    }

    fn run(
        &self,
        params: &Params,
        scratch: &Scratch,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        let files = files(params, scratch)?;
        for number in containers(params)? {
            let group = Group::start(number, engine)?;
            for pattern in params.choices("patterns", &PATTERNS)? {
                unless_stopped(engine)?;
                group.read(pattern, &files, engine, recorder)?;
            }
            group.share(&files, engine, recorder)?;
            group.end(engine)?;
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

fn containers(params: &Params) -> Result<Vec<u64>> {
    params.numbers("containers", 1..=MOST)
}

fn files(params: &Params, scratch: &Scratch) -> Result<Files> {
    let (files, size) = shape(params)?;
    Ok(Files { seed: Seed::of(scratch)?, files, size, blocks: params.number("blocks", 1..=1 << 28)? })
}

/// How many files, and how many bytes each.
fn shape(params: &Params) -> Result<(u64, u64)> {
    let size = params.number("size", BLOCK as u64..=1 << 40)? / BLOCK as u64 * BLOCK as u64;
    Ok((params.number("files", 1..=10_000)?, size))
}

/// Containers over the image, all mounted.
#[derive(Debug)]
struct Group(Vec<MountedLayer>);

impl Group {
    fn start(number: u64, engine: &dyn Engine) -> Result<Self> {
        let own = OwnLayers::new(engine.driver(), NAME);
        let image = own.id(IMAGE)?;
        let one = |number| {
            let layer = own.create(&format!("{ROUND}-{number}"), Some(&image))?;
            Ok(engine.driver().mount(&layer, MountMode::ReadWrite)?)
        };
        (0..number).map(one).collect::<Result<_>>().map(Self)
    }

    fn end(self, engine: &dyn Engine) -> Result<()> {
        self.0.into_iter().try_for_each(MountedLayer::close)?;
        OwnLayers::new(engine.driver(), NAME).remove(ROUND)
    }

    /// Cold, where the kernel lets us, and then warm.
    fn read(
        &self,
        pattern: Pattern,
        files: &Files,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        let expected = files.expected(pattern);
        if engine.drop_caches()? {
            let cost = self.read_once(pattern, files, expected, engine)?;
            self.check_cold(expected, &cost)?;
            self.record(pattern, UNCACHED, expected, &cost, recorder)?;
        } else {
            engine.leave_out(
                "the cells cache=cold of the workload read",
                "only root may make the kernel drop its caches",
            );
            // Whatever is cached now, everything is afterwards.
            self.read_once(pattern, files, expected, engine)?;
        }
        let cost = self.read_once(pattern, files, expected, engine)?;
        self.record(pattern, CACHED, expected, &cost, recorder)
    }

    /// All of them at once; each has to see the right bytes.
    fn read_once(&self, pattern: Pattern, files: &Files, expected: Seen, engine: &mut dyn Engine) -> Result<Cost> {
        let (seen, cost) = metered(engine, |_| self.together(|root| files.read(pattern, root)))?;
        match seen.iter().find(|seen| **seen != expected) {
            None => Ok(cost),
            Some(other) => {
                let bytes = |seen: &Seen| format!("{} bytes of the image", seen.bytes);
                let found = if other.bytes == expected.bytes { "other bytes".to_owned() } else { bytes(other) };
                Err(Error::effect(format!("what a {} reader sees", pattern.name()), bytes(&expected), found))
            }
        }
    }

    fn together<T: Send>(&self, work: impl Fn(&Path) -> Result<T> + Sync) -> Result<Vec<T>> {
        thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = self.0.iter().map(|mounted| scope.spawn(move || work(mounted.path()))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<T>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        })
    }

    /// What was read with nothing in the caches came from the device.
    fn check_cold(&self, expected: Seen, cost: &Cost) -> Result<()> {
        match cost.device {
            Some(device) if device.read < Bytes(expected.bytes / 2) => {
                let what = format!("bytes read from the device for {} that nobody had cached", expected.bytes);
                Err(Error::effect(what, "most of them", device.read))
            }
            _ => Ok(()),
        }
    }

    fn record(
        &self,
        pattern: Pattern,
        cache: &str,
        expected: Seen,
        cost: &Cost,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        let containers = self.0.len().to_string();
        let params = [("cache", cache), ("containers", containers.as_str()), ("pattern", pattern.name())];
        let cell = Cell { params: &params, phase: "read" };
        cell.put_cost(recorder, cost)?;
        cell.put(recorder, "read_bytes", Quantity::Bytes(Bytes(expected.bytes * self.0.len() as u64)))?;
        match cost.device {
            Some(device) if cache == UNCACHED => {
                let factor = device.read.get() as f64 / expected.bytes as f64;
                cell.put(recorder, "device_read_factor", Quantity::Ratio(factor))
            }
            _ => Ok(()),
        }
    }

    /// How often the image is in the page cache once all have read it. The first container reads all of it; what the page
    /// cache then holds of the second one's files is shared, and the rest comes once more for each container.
    fn share(&self, files: &Files, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
        let [first, second, ..] = self.0.as_slice() else { return Ok(()) };
        if !engine.drop_caches()? {
            engine.leave_out(
                "the phase page cache of the workload read",
                "only root may make the kernel drop its caches",
            );
            return Ok(());
        }
        files.read(Pattern::Sequential, first.path())?;
        let own = cached(files, first.path(), engine)?;
        if own < Bytes(files.total() / 2) {
            return Err(Error::effect("bytes in the page cache after reading", files.total(), own.get()));
        }
        let shared = cached(files, second.path(), engine)?;
        let share = shared.get() as f64 / own.get() as f64;
        let containers = self.0.len().to_string();
        let params = [("containers", containers.as_str())];
        let cell = Cell { params: &params, phase: "page cache" };
        cell.put(recorder, "cached_bytes", Quantity::Bytes(own))?;
        cell.put(recorder, "shared_bytes", Quantity::Bytes(shared))?;
        let factor = 1.0 + (self.0.len() - 1) as f64 * (1.0 - share);
        cell.put(recorder, "page_cache_factor", Quantity::Ratio(factor))
    }
}

fn cached(files: &Files, root: &Path, engine: &mut dyn Engine) -> Result<Bytes> {
    (0..files.files).map(|number| engine.cached(&Files::path(root, number))).sum::<Result<Bytes>>()
}
