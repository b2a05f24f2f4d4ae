//! Rounds over several drivers, interleaved, so that a machine that drifts drifts for all of them.

use crate::{Engine, Error, Params, Recorder, Result, Scratch, Workload, check_room};

/// How many rounds.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Rounds that are recorded.
    pub rounds: u32,
    /// Rounds before that, which warm caches and are not recorded.
    pub warmup: u32,
    /// Decides the order of the drivers in each round.
    pub seed: u64,
    /// How many rounds of each driver an interrupted run has measured already; those of drivers beyond its end: none.
    pub measured: Vec<u32>,
}

impl Plan {
    fn measured_of(&self, driver: usize) -> u32 {
        self.measured.get(driver).copied().unwrap_or(0)
    }

    /// How many rounds of a driver are to be run, warm-up included.
    #[must_use]
    pub fn rounds_of(&self, driver: usize) -> u32 {
        match self.rounds.saturating_sub(self.measured_of(driver)) {
            0 => 0,
            left => left + self.warmup,
        }
    }
}

/// A round of one driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// From 1; warm-up rounds are 0.
    pub number: u32,
    /// Which of the engines.
    pub driver: usize,
}

/// Hears what is going on.
pub trait Progress {
    /// A round begins; `done` of `total` are behind.
    fn round(&mut self, round: Round, done: u64, total: u64);

    /// A round has ended well, and what it left is removed.
    ///
    /// # Errors
    /// When that cannot be noted.
    fn finished(&mut self, round: Round) -> Result<()>;
}

/// The order of all rounds, fixed by the seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(Vec<Round>);

impl Order {
    /// For `drivers` drivers: every round has each of them once, in an order of its own. Rounds that are measured already
    /// are left out, and so is the warm-up of a driver that has no other; the rest keeps its order.
    #[must_use]
    pub fn new(plan: &Plan, drivers: usize) -> Self {
        let mut random = plan.seed;
        let mut order = Vec::new();
        let warmup = std::iter::repeat_n(0, plan.warmup as usize);
        for number in warmup.chain(1..=plan.rounds) {
            let mut drivers: Vec<usize> = (0..drivers).collect();
            shuffle(&mut drivers, &mut random);
            order.extend(drivers.into_iter().map(|driver| Round { number, driver }));
        }
        order.retain(|round| match round.number {
            0 => plan.measured_of(round.driver) < plan.rounds,
            number => number > plan.measured_of(round.driver),
        });
        Self(order)
    }
}

/// Fisher and Yates, with the constants of Knuth's 64-bit linear congruential generator.
fn shuffle(items: &mut [usize], random: &mut u64) {
    for last in (1..items.len()).rev() {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, (*random >> 33) as usize % (last + 1));
    }
}

/// Runs one workload on all engines. Engines must outlive it in the order given; `recorder` is told the round by the
/// caller's `for_round`.
///
/// # Errors
/// The first failure; [`Error::Room`] before anything is written. Everything is concluded and cleaned up before it is returned, and what was recorded stays.
pub fn run<R: Recorder>(
    workload: &dyn Workload,
    params: &Params,
    plan: &Plan,
    scratch: &Scratch,
    engines: &mut [&mut dyn Engine],
    mut for_round: impl FnMut(Round) -> Option<R>,
    progress: &mut dyn Progress,
) -> Result<()> {
    let order = Order::new(plan, engines.len());
    if order.0.is_empty() {
        return Ok(());
    }
    for (_, engine) in engines.iter_mut().enumerate().filter(|(driver, _)| plan.rounds_of(*driver) > 0) {
        check_room(workload, params, &mut **engine)?;
    }
    workload.setup(params, plan.seed, scratch)?;
    let mut prepared = 0;
    let mut outcome = Ok(());
    for engine in engines.iter_mut() {
        prepared += 1;
        outcome = stop_or(&**engine).and_then(|()| workload.prepare(params, scratch, &mut **engine));
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        outcome = rounds(workload, params, order, scratch, engines, &mut for_round, progress);
    }
    for engine in &mut engines[..prepared] {
        outcome = first(outcome, workload.cleanup(params, &mut **engine));
    }
    outcome
}

fn rounds<R: Recorder>(
    workload: &dyn Workload,
    params: &Params,
    order: Order,
    scratch: &Scratch,
    engines: &mut [&mut dyn Engine],
    for_round: &mut impl FnMut(Round) -> Option<R>,
    progress: &mut dyn Progress,
) -> Result<()> {
    let total = order.0.len() as u64;
    for (done, round) in (0..).zip(order.0) {
        let engine = &mut *engines[round.driver];
        stop_or(engine)?;
        progress.round(round, done, total);
        let ran = match for_round(round) {
            Some(mut recorder) => workload.run(params, scratch, engine, &mut recorder),
            None => workload.run(params, scratch, engine, &mut Unrecorded),
        };
        first(ran, workload.conclude(params, engine))?;
        progress.finished(round)?;
    }
    Ok(())
}

fn stop_or(engine: &dyn Engine) -> Result<()> {
    if engine.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
}

fn first(earlier: Result<()>, later: Result<()>) -> Result<()> {
    earlier.and(later)
}

/// For warm-up rounds.
struct Unrecorded;

impl Recorder for Unrecorded {
    fn record(&mut self, _: &crate::Measurement<'_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
