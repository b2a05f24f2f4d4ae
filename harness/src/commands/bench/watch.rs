//! How far a run over several workloads and drivers is, and how long it still takes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use workloads::{Plan, Round};

use crate::progress::Progress;

/// A workload and a driver, by their places in the run.
type Pair = (usize, usize);

/// What is left, and what a round has taken so far.
#[derive(Debug, Default)]
pub struct Estimate {
    left: BTreeMap<Pair, u32>,
    spent: BTreeMap<Pair, (Duration, u32)>,
}

impl Estimate {
    /// For workloads with these plans, on so many drivers.
    pub fn new(plans: &[Plan], drivers: usize) -> Self {
        let pairs = plans
            .iter()
            .enumerate()
            .flat_map(|(workload, plan)| (0..drivers).map(move |driver| ((workload, driver), plan.rounds_of(driver))));
        Self { left: pairs.collect(), spent: BTreeMap::new() }
    }

    /// A round has ended.
    fn took(&mut self, pair: Pair, time: Duration) {
        if let Some(left) = self.left.get_mut(&pair) {
            *left = left.saturating_sub(1);
        }
        let spent = self.spent.entry(pair).or_default();
        *spent = (spent.0 + time, spent.1 + 1);
    }

    /// Rounds that are left, of all workloads.
    pub fn rounds(&self) -> u64 {
        self.left.values().map(|&left| u64::from(left)).sum()
    }

    /// The time that is left; `None` before the first round has ended.
    fn time(&self) -> Option<Duration> {
        self.left.iter().map(|(&pair, &left)| Some(self.typical(pair)? * left)).sum()
    }

    /// What a round takes: of the pair itself, or of the workload on other drivers, or of what there is.
    fn typical(&self, pair: Pair) -> Option<Duration> {
        let mean = |of: &dyn Fn(Pair) -> bool| {
            let known = self.spent.iter().filter(|(known, _)| of(**known)).map(|(_, spent)| *spent);
            let (time, rounds) = known.fold((Duration::ZERO, 0), |(time, n), (more, m)| (time + more, n + m));
            (rounds > 0).then(|| time / rounds)
        };
        mean(&|known| known == pair).or_else(|| mean(&|known| known.0 == pair.0)).or_else(|| mean(&|_| true))
    }
}

/// Shows it while a workload runs.
pub struct Watch<'a> {
    pub estimate: &'a mut Estimate,
    pub bar: &'a Progress,
    /// Rounds of the whole run.
    pub total: u64,
    /// The workload's place in the run.
    pub place: usize,
    pub workload: &'a str,
    pub drivers: &'a [&'static str],
    pub started: Instant,
    /// Notes that a round is measured whole.
    pub note: &'a mut dyn FnMut(Round) -> workloads::Result<()>,
}

impl workloads::Progress for Watch<'_> {
    fn round(&mut self, round: Round, _: u64, _: u64) {
        self.started = Instant::now();
        let what = if round.number == 0 { "warm-up".to_owned() } else { format!("round {}", round.number) };
        let left = self.estimate.time().map_or_else(String::new, |time| format!(" (about {} left)", words(time)));
        let what = format!("{} on {}: {what}{left}", self.workload, self.drivers[round.driver]);
        self.bar.show(self.total - self.estimate.rounds().min(self.total), self.total, &what);
    }

    fn finished(&mut self, round: Round) -> workloads::Result<()> {
        self.estimate.took((self.place, round.driver), self.started.elapsed());
        (self.note)(round)
    }
}

/// Whole seconds, or minutes once there are many.
fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..100 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_taken_from_what_was_like_it() {
        let plan = |measured| Plan { rounds: 2, warmup: 1, seed: 1, measured };
        let mut estimate = Estimate::new(&[plan(vec![]), plan(vec![0, 2])], 2);
        assert_eq!((estimate.rounds(), estimate.time()), (9, None));
        let seconds = Duration::from_secs;
        estimate.took((0, 0), seconds(10));
        // Everything takes what the first did.
        assert_eq!((estimate.rounds(), estimate.time()), (8, Some(seconds(80))));
        estimate.took((0, 1), seconds(2));
        // Two rounds of 10 and two of 2; three of the other workload at the mean of both.
        assert_eq!(estimate.time(), Some(seconds(20 + 4 + 18)));
        for (pair, time) in [((0, 0), 10), ((0, 0), 10), ((0, 1), 2), ((0, 1), 2), ((1, 0), 1)] {
            estimate.took(pair, seconds(time));
        }
        assert_eq!(estimate.time(), Some(seconds(2)));
        assert_eq!((words(seconds(99)), words(seconds(121))), ("99 s".to_owned(), "3 min".to_owned()));
    }
}
