//! Random operations on random layers, against the model in memory.
//!
//! A run is a list of [`Step`]s that is made from a seed without looking at any driver. Each step is done to the driver
//! under examination and to the [model](driver_memory::MemoryDriver), which must answer alike; whatever a step looks at
//! must look the same in everything. When a run fails, proptest makes it smaller as long as it still fails.

mod operations;
mod plan;
mod replay;

use std::fmt;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

pub(crate) use operations::operations;
pub use plan::Step;

use crate::{Stop, Subject, run::in_room_of_its_own};
use plan::Plan;

/// Steps of one run, before it is made smaller.
const STEPS: std::ops::Range<usize> = 4..24;

/// A run on which a driver and the model differ.
#[derive(Debug, Clone)]
pub struct Counterexample {
    /// Gives the same run again.
    pub seed: u64,
    /// What differed.
    pub reason: String,
    /// The smallest run that was found to show it; empty when none could be made.
    pub steps: Vec<Step>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.reason)?;
        for (number, step) in self.steps.iter().enumerate() {
            write!(f, "\n  {}. {step:?}", number + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for Counterexample {}

/// Examines `subject` with `runs` random runs made from `seed`.
///
/// # Errors
/// The first run on which it differs from the model, made smaller.
pub fn run(subject: &dyn Subject, runs: u32, seed: u64) -> Result<(), Box<Counterexample>> {
    let config = Config { cases: runs, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&Plan::sequential_strategy(STEPS), |(_, steps, seen)| {
        // Steps that were not reached need not be shrunk.
        let reached = || {
            if let Some(seen) = &seen {
                seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        };
        match in_room_of_its_own(subject, |context| replay::replay(context, subject, &steps, &reached)) {
            Ok(()) => Ok(()),
            // Every driver can do what the plans are made of; a run that looked at nothing has shown nothing.
            Err(Stop::Failed(text) | Stop::NotApplicable(text)) => Err(TestCaseError::fail(text)),
        }
    });
    let (reason, steps) = match outcome {
        Ok(()) => return Ok(()),
        Err(TestError::Abort(reason)) => (format!("no runs could be made: {reason}"), vec![]),
        Err(TestError::Fail(reason, (_, steps, _))) => (reason.to_string(), steps),
    };
    Err(Box::new(Counterexample { seed, reason, steps }))
}
