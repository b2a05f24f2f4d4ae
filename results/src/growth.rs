//! Whether one more costs what the one before did, and what one more takes of memory: lines over how many there were already.

use std::collections::BTreeMap;

use crate::{Kind, Params, Sample, derived::line};

/// What is done again and again in one round, in the order of the samples.
struct Series {
    /// Of the slope.
    name: &'static str,
    workload: &'static str,
    phase: &'static str,
    metric: &'static str,
    /// What the line is of.
    line: Line,
    /// A parameter that says only where in the series a sample is.
    place: Option<&'static str>,
    /// A parameter that must be 1: what is done side by side has no order.
    alone: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Line {
    /// The samples.
    Rises,
    /// What is taken of what the samples say is left.
    Falls,
    /// Each sample is of one alone: what all of them come to so far.
    AddsUp,
}

/// Seconds by which each takes longer than the one before it.
const LONGER: Series =
    Series { name: "wall_slope", workload: "", phase: "", metric: "wall", line: Line::Rises, place: None, alone: None };

const ONE_MORE: Series = Series { workload: "density", phase: "one more", place: Some("alive"), ..LONGER };

const SERIES: [Series; 5] = [
    ONE_MORE,
    Series { workload: "lifecycle", phase: "life", alone: Some("parallel"), ..LONGER },
    Series { workload: "database", phase: "transaction", ..LONGER },
    Series { name: "memory_taken_slope", metric: "memory_available_bytes", line: Line::Falls, ..ONE_MORE },
    // The first container pays for the pages of the image that all of them map; a sum over their number would spread that.
    Series { name: "memory_cgroup_slope", metric: "memory_cgroup_bytes", line: Line::AddsUp, ..ONE_MORE },
];

/// Whether it is one of these slopes: made of cells that are there themselves, and of which there is no multiple.
pub(crate) fn is_slope(metric: &str) -> bool {
    SERIES.iter().any(|series| series.name == metric)
}

/// Fewer are no line.
const FEWEST: usize = 4;

type Cell<'a> = (&'a str, Params, u32);

/// The slope of each series, round by round.
pub(crate) fn growth(samples: &[Sample]) -> Vec<Sample> {
    SERIES.iter().flat_map(|series| series.of(samples)).collect()
}

impl Series {
    fn of(&self, samples: &[Sample]) -> Vec<Sample> {
        let mut cells: BTreeMap<Cell<'_>, Vec<&Sample>> = BTreeMap::new();
        for sample in samples.iter().filter(|sample| self.has(sample)) {
            let params = self.place.map_or_else(|| sample.params.clone(), |name| sample.params.clone().without(name));
            cells.entry((&sample.driver, params, sample.round)).or_default().push(sample);
        }
        let slopes =
            cells.into_iter().filter(|(_, found)| found.len() >= FEWEST).filter_map(|((_, params, _), found)| {
                let mut sum = 0.0;
                let point = |(number, sample): (u32, &&Sample)| {
                    sum += sample.value;
                    let value = match self.line {
                        Line::Rises => sample.value,
                        Line::Falls => -sample.value,
                        Line::AddsUp => sum,
                    };
                    (f64::from(number), value)
                };
                let (value, _) = line(&(0_u32..).zip(&found).map(point).collect::<Vec<_>>())?;
                Some(Sample { params, metric: self.name.to_owned(), value, kind: Kind::Time, ..found[0].clone() })
            });
        slopes.collect()
    }

    fn has(&self, sample: &Sample) -> bool {
        let is_alone = |name| sample.params.get(name).and_then(|number| number.parse().ok()) == Some(1);
        sample.workload == self.workload
            && sample.phase == self.phase
            && sample.metric == self.metric
            && self.alone.is_none_or(is_alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SCHEMA, Unit};

    fn samples(workload: &str, phase: &str, params: impl Fn(u32) -> Params, times: &[f64]) -> Vec<Sample> {
        let sample = |(number, value): (u32, &f64)| Sample {
            schema: SCHEMA,
            run: "r".to_owned(),
            driver: "d".to_owned(),
            workload: workload.to_owned(),
            params: params(number),
            round: 1,
            phase: phase.to_owned(),
            metric: "wall".to_owned(),
            value: *value,
            unit: Unit::Seconds,
            kind: Kind::Time,
        };
        (0..).zip(times).map(sample).collect()
    }

    #[test]
    fn each_of_a_series_is_held_against_the_one_before() {
        let alive = |number: u32| Params::default().with("alive", (number + 1).next_power_of_two());
        let found = growth(&samples("density", "one more", alive, &[0.010, 0.012, 0.014, 0.016, 0.018]));
        assert_eq!(found.len(), 1);
        assert!((found[0].value - 0.002).abs() < 1e-9 && found[0].metric == "wall_slope");
        assert!(found[0].params.to_string().is_empty() && found[0].kind == Kind::Time);
        let flat = growth(&samples("database", "transaction", |_| Params::default(), &[0.003; 10]));
        assert!(flat[0].value.abs() < 1e-12);
    }

    #[test]
    fn memory_of_one_more_is_that_of_the_later_ones_and_not_of_the_first() {
        let alive = |number: u32| Params::default().with("alive", (number + 1).next_power_of_two());
        let memory = |metric: &str, values: &[f64]| {
            let as_bytes = |sample| Sample { metric: metric.to_owned(), unit: Unit::Bytes, ..sample };
            let samples = samples("density", "one more", alive, values).into_iter().map(as_bytes).collect::<Vec<_>>();
            let found = growth(&samples);
            assert!(found.len() == 1 && found[0].unit == Unit::Bytes && found[0].kind == Kind::Time, "{found:?}");
            (found[0].metric.clone(), found[0].value)
        };
        // 9 MB for the first, which maps what all share, and 1 MB for each further one.
        let (name, of_cgroups) = memory("memory_cgroup_bytes", &[9e6, 1e6, 1e6, 1e6, 1e6, 1e6]);
        assert!(name == "memory_cgroup_slope" && (of_cgroups - 1e6).abs() < 1.0, "{name} {of_cgroups}");
        let (name, of_machine) = memory("memory_available_bytes", &[91e6, 90e6, 89e6, 88e6, 87e6, 86e6]);
        assert!(name == "memory_taken_slope" && (of_machine - 1e6).abs() < 1.0, "{name} {of_machine}");
    }

    #[test]
    fn what_is_side_by_side_or_too_few_is_no_series() {
        let at_once = |number: u32| move |_| Params::default().with("parallel", format!("{number:02}"));
        assert_eq!(growth(&samples("lifecycle", "life", at_once(1), &[0.1; 5])).len(), 1);
        assert_eq!(growth(&samples("lifecycle", "life", at_once(8), &[0.1; 8])).len(), 0);
        assert_eq!(growth(&samples("lifecycle", "life", at_once(1), &[0.1; 3])).len(), 0);
        assert_eq!(growth(&samples("lifecycle", "start", at_once(1), &[0.1; 5])).len(), 0);
    }
}
