//! Nothing, measured: what the harness itself adds to every other number.

use crate::{Engine, Param, Params, Recorder, Result, Scratch, Workload, measure::Cell};

/// The workload `empty`.
#[derive(Debug)]
pub(crate) struct Empty;

/// Enough for a median within one round.
const TIMES: u32 = 5;

impl Workload for Empty {
    fn name(&self) -> &'static str {
        "empty"
    }

    fn about(&self) -> &'static str {
        "nothing at all: what measuring itself costs"
    }

    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    fn setup(&self, _: &Params, _: u64, _: &Scratch) -> Result<()> {
        Ok(())
    }

    fn prepare(&self, _: &Params, _: &Scratch, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }

    fn run(&self, _: &Params, _: &Scratch, engine: &mut dyn Engine, recorder: &mut dyn Recorder) -> Result<()> {
        let cell = Cell { params: &[], phase: "nothing" };
        (0..TIMES).try_for_each(|_| cell.measure(engine, recorder, |_| Ok(())))
    }

    fn conclude(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }

    fn cleanup(&self, _: &Params, _: &mut dyn Engine) -> Result<()> {
        Ok(())
    }
}
