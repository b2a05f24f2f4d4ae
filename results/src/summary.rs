use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Kind, Params, Sample, Unit, estimate, outliers};

/// One row of summary.csv: what all rounds of one cell come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
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
    /// Of the values.
    pub unit: Unit,
    /// As in the samples.
    pub kind: Kind,
    /// How many values.
    pub n: usize,
    /// Their median.
    pub median: f64,
    /// Lower end of the 95 % bootstrap interval of the median.
    pub ci_low: f64,
    /// Its upper end.
    pub ci_high: f64,
    /// Median absolute deviation.
    pub mad: f64,
    /// How many values are [far off](crate::outliers); told in reports, and no column of summary.csv, whose columns are fixed.
    #[serde(skip)]
    pub outliers: usize,
}

impl Summary {
    /// What was measured once or twice has no interval; see [`differs`](Self::differs).
    #[must_use]
    pub const fn has_interval(&self) -> bool {
        self.n >= 3
    }

    /// Whether the two differ for certain: intervals that do not overlap, made of enough values to be intervals. That holds for
    /// counters, too: a device's are counted exactly, but a file system need not write the same in every round.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        let both = self.has_interval() && other.has_interval();
        both && (self.ci_high < other.ci_low || other.ci_high < self.ci_low)
    }
}

/// Puts the rounds of each cell together, sorted by cell.
#[must_use]
pub fn summarise(samples: &[Sample]) -> Vec<Summary> {
    type Cell<'a> = (&'a str, &'a Params, &'a str, &'a str, &'a str, Unit, Kind);
    let mut cells: BTreeMap<Cell<'_>, Vec<f64>> = BTreeMap::new();
    for s in samples {
        let cell = (&*s.workload, &s.params, &*s.phase, &*s.metric, &*s.driver, s.unit, s.kind);
        cells.entry(cell).or_default().push(s.value);
    }
    let summary = |((workload, params, phase, metric, driver, unit, kind), values): (Cell<'_>, Vec<f64>)| {
        let found = estimate(&values);
        Summary {
            driver: driver.to_owned(),
            workload: workload.to_owned(),
            params: params.clone(),
            phase: phase.to_owned(),
            metric: metric.to_owned(),
            unit,
            kind,
            n: found.n,
            median: found.median,
            ci_low: found.interval.0,
            ci_high: found.interval.1,
            mad: found.mad,
            outliers: outliers(&values).len(),
        }
    };
    cells.into_iter().map(summary).collect()
}
