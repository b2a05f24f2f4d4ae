//! The gate: whether one run costs more than another.
//!
//! Counters and shapes are compared exactly; times only in pairs, and they fail only when they grew grossly. So the gate has
//! something to say on noisy machines, and nothing to cry about.

mod cell;
mod exact;
pub mod formats;
mod identity;
mod paired;
pub mod reference;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use self::{
    cell::CellId,
    identity::{Difference, differences, fingerprint, identity},
    paired::ratio,
    verdict::{Judgement, Ratio, Side, Verdict},
};
use crate::{Kind, Recorded, growth::is_slope, rates::is_rate};

/// From which growth of a time on it is told, and from which on it fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Thresholds {
    /// 0.25: by a quarter.
    pub fail: f64,
    /// 0.10: by a tenth.
    pub warn: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { fail: 0.25, warn: 0.10 }
    }
}

/// How the two runs were made, and what is asked of them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Options {
    /// Round by round next to each other, so that times can be held against each other.
    pub paired: bool,
    /// For times.
    pub thresholds: Thresholds,
}

/// What two runs come to, held against each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Id of the base.
    pub base: String,
    /// Id of what is new.
    pub new: String,
    /// Why they cannot be compared; then there are no judgements.
    pub refused: Vec<Difference>,
    /// Whether times were judged.
    pub paired: bool,
    /// Workloads of drivers that only one of the runs has: `driver workload (only in the base)`.
    pub unmatched: Vec<String>,
    /// Of every cell.
    pub judgements: Vec<Judgement>,
}

impl Comparison {
    /// Whether the gate lets it through.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.verdict().is_passed()
    }

    /// The worst of all; incomparable also when nothing was compared.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let worst = self.judgements.iter().map(|judgement| judgement.verdict).max();
        if self.refused.is_empty() { worst.unwrap_or(Verdict::Incomparable) } else { Verdict::Incomparable }
    }

    /// How many cells have each verdict; those that none has are left out.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts = BTreeMap::new();
        for judgement in &self.judgements {
            *counts.entry(judgement.verdict).or_insert(0) += 1;
        }
        counts
    }

    /// What a person should see: everything but what passed, the worst first.
    pub fn notable(&self) -> impl Iterator<Item = &Judgement> {
        let mut notable: Vec<_> =
            self.judgements.iter().filter(|judgement| judgement.verdict != Verdict::Pass).collect();
        notable.sort_by(|a, b| b.verdict.cmp(&a.verdict).then_with(|| a.cell.cmp(&b.cell)));
        notable.into_iter()
    }
}

/// Holds a run against another.
#[must_use]
pub fn compare(base: &Recorded, new: &Recorded, options: &Options) -> Comparison {
    let mut comparison = Comparison {
        base: base.record.run.clone(),
        new: new.record.run.clone(),
        refused: differences(&base.record, &new.record),
        paired: options.paired && identity::same_processor(&base.record, &new.record),
        unmatched: Vec::new(),
        judgements: Vec::new(),
    };
    if !comparison.refused.is_empty() {
        return comparison;
    }
    let (old, now) = (cell::cells(&base.with_derived()), cell::cells(&new.with_derived()));
    let (has_old, has_now) = (groups(&old), groups(&now));
    let only = |(driver, workload): &(String, String), place: &str| format!("{driver} {workload} (only in {place})");
    comparison.unmatched.extend(has_old.difference(&has_now).map(|group| only(group, "the base")));
    comparison.unmatched.extend(has_now.difference(&has_old).map(|group| only(group, "what is new")));
    let cells: BTreeSet<&CellId> = old.keys().chain(now.keys()).collect();
    for cell in cells {
        let group = (cell.driver.clone(), cell.workload.clone());
        // What is a counter by another, or a line through them: they are judged themselves.
        let made = cell.metric.ends_with("_amplification")
            || cell.metric == "device_written_slope"
            || is_slope(&cell.metric)
            || is_rate(&cell.metric);
        let judged = (cell.kind != Kind::Time || comparison.paired) && !made;
        if judged && has_old.contains(&group) && has_now.contains(&group) {
            let bed = identity::bed(&base.record, &cell.driver);
            let judgement = judge(cell, old.get(cell), now.get(cell), bed, options);
            comparison.judgements.push(judgement);
        }
    }
    comparison
}

/// What was measured of which driver.
fn groups(cells: &BTreeMap<CellId, Vec<f64>>) -> BTreeSet<(String, String)> {
    cells.keys().map(|cell| (cell.driver.clone(), cell.workload.clone())).collect()
}

fn judge(
    cell: &CellId,
    base: Option<&Vec<f64>>,
    new: Option<&Vec<f64>>,
    bed: exact::Bed,
    options: &Options,
) -> Judgement {
    let (verdict, ratio, why) = match (base, new) {
        (Some(base), Some(new)) if cell.kind == Kind::Time => {
            let pairs: Vec<_> = base.iter().copied().zip(new.iter().copied()).collect();
            paired::judge(&pairs, &options.thresholds)
        }
        (Some(base), Some(new)) => {
            let (verdict, why) = exact::judge(cell, base, new, bed);
            (verdict, None, why)
        }
        // A driver or a workload that records another cell than before is another measurement.
        (Some(_), None) => (Verdict::Incomparable, None, "it is not measured any more".to_owned()),
        (None, _) => (Verdict::Warn, None, "new: the base has no such cell".to_owned()),
    };
    let side = |values: Option<&Vec<f64>>| values.map(|values| Side::of(values));
    Judgement { cell: cell.clone(), verdict, base: side(base), new: side(new), ratio, why }
}

#[cfg(test)]
mod tests;
