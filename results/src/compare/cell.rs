use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{Kind, Params, Sample, Summary, Unit};

/// What is compared with its like of the other run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CellId {
    /// As in the samples.
    pub driver: String,
    /// As in the samples.
    pub workload: String,
    /// As in the samples.
    pub params: Params,
    /// As in the samples.
    pub phase: String,
    /// As in the samples.
    pub metric: String,
    /// As in the samples.
    pub unit: Unit,
    /// As in the samples.
    pub kind: Kind,
}

impl From<&Sample> for CellId {
    fn from(sample: &Sample) -> Self {
        Self {
            driver: sample.driver.clone(),
            workload: sample.workload.clone(),
            params: sample.params.clone(),
            phase: sample.phase.clone(),
            metric: sample.metric.clone(),
            unit: sample.unit,
            kind: sample.kind,
        }
    }
}

impl From<&Summary> for CellId {
    fn from(summary: &Summary) -> Self {
        Self {
            driver: summary.driver.clone(),
            workload: summary.workload.clone(),
            params: summary.params.clone(),
            phase: summary.phase.clone(),
            metric: summary.metric.clone(),
            unit: summary.unit,
            kind: summary.kind,
        }
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { driver, workload, params, phase, metric, .. } = self;
        write!(f, "{driver} {workload}")?;
        if !params.to_string().is_empty() {
            write!(f, "[{params}]")?;
        }
        write!(f, " {phase} {metric}")
    }
}

/// The values of every cell by round; of several in one round (the serial lives of one round, for instance) their median.
pub(super) fn cells(samples: &[Sample]) -> BTreeMap<CellId, Vec<f64>> {
    let mut rounds: BTreeMap<CellId, BTreeMap<u32, Vec<f64>>> = BTreeMap::new();
    for sample in samples {
        rounds.entry(sample.into()).or_default().entry(sample.round).or_default().push(sample.value);
    }
    let medians = |rounds: BTreeMap<u32, Vec<f64>>| rounds.into_values().map(|values| crate::median(&values)).collect();
    rounds.into_iter().map(|(cell, rounds)| (cell, medians(rounds))).collect()
}
