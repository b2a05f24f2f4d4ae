//! Images built, run and removed, over and over: what stays behind, and what falls into pieces.

mod input;
mod trace;

use crate::{
    BuildSpec, Engine, Error, Holdings, Param, Params, Quantity, Recorder, Result, RunSpec, Scratch, Workload,
    measure::{Cell, Cost, metered},
};

use self::trace::Trace;

/// The workload `churn`.
#[derive(Debug)]
pub(crate) struct Churn;

impl Workload for Churn {
    fn name(&self) -> &'static str {
        "churn"
    }

    fn about(&self) -> &'static str {
        "images built, run and removed over and over: what leaks and what fragments, as slopes"
    }

    fn params(&self) -> Vec<Param> {
        let param = |name, default, quick, about| Param { name, default, quick, about };
        vec![
            param("iterations", "4", "2", "how often in a round; the first one is where the slopes begin"),
            param("files", "200", "50", "files that the image's steps make, change and remove in part"),
        ]
    }

    fn setup(&self, params: &Params, seed: u64, scratch: &Scratch) -> Result<()> {
        iterations(params)?;
        input::write(scratch, seed, input::files(params)?)
    }

    fn prepare(&self, _: &Params, _: &Scratch, engine: &mut dyn Engine) -> Result<()> {
        engine.ensure_base(input::BASE).map(drop)
    }

    fn run(
        &self,
        params: &Params,
        scratch: &Scratch,
        engine: &mut dyn Engine,
        recorder: &mut dyn Recorder,
    ) -> Result<()> {
        let files = input::files(params)?;
        let mut trace = Trace::default();
        for _ in 0..iterations(params)? {
            if engine.is_stopped() {
                return Err(Error::Stopped);
            }
            let written = iteration(files, scratch, engine, recorder)?;
            trace.add(engine, written)?;
        }
        trace.record(recorder)?;
        trace.check()
    }

    fn conclude(&self, _: &Params, engine: &mut dyn Engine) -> Result<()> {
        match engine.remove_image(input::TAG) {
            // Each iteration has removed its own; this is for one that failed.
            Ok(()) | Err(Error::Engine(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn cleanup(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }
}

fn iterations(params: &Params) -> Result<u64> {
    params.number("iterations", 2..=100_000)
}

/// Builds, runs and removes; gives what the image's layers took.
fn iteration(files: u64, scratch: &Scratch, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<u64> {
    let context = input::context(scratch);
    let spec = BuildSpec {
        context: &context,
        dockerfile: None,
        tag: input::TAG,
        use_cache: false,
        count_device: false,
        options: crate::BuildOptions::default(),
    };
    let cell = |phase| Cell { params: &[], phase };
    let (built, cost) = metered(engine, |engine| engine.build(&spec))?;
    cell("build").put_cost(recorder, &Cost { wall: built.total, ..cost })?;
    let (ran, cost) = metered(engine, |engine| engine.run(&RunSpec { image: input::TAG, command: Vec::new() }))?;
    cell("run").put_cost(recorder, &cost)?;
    input::check(files, &ran)?;
    let exclusive = built.steps.iter().filter_map(|step| step.layer).map(|layer| layer.exclusive.get()).sum();
    cell("build").put(recorder, "allocated_bytes", Quantity::Bytes(storage_driver::Bytes(exclusive)))?;
    cell("remove").measure(engine, recorder, |engine| engine.remove_image(input::TAG))?;
    Ok(exclusive)
}
