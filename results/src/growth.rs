//! Whether one more costs what the one before did: the line of times over how many there were already.

use std::collections::BTreeMap;

use crate::{Kind, Params, Sample, Unit, derived::line};

/// What is done again and again in one round, in the order of the samples.
struct Series {
    workload: &'static str,
    phase: &'static str,
    /// A parameter that says only where in the series a sample is.
    place: Option<&'static str>,
    /// A parameter that must be 1: what is done side by side has no order.
    alone: Option<&'static str>,
}

const SERIES: [Series; 3] = [
    Series { workload: "density", phase: "one more", place: Some("alive"), alone: None },
    Series { workload: "lifecycle", phase: "life", place: None, alone: Some("parallel") },
    Series { workload: "database", phase: "transaction", place: None, alone: None },
];

/// Seconds by which each takes longer than the one before it.
pub(crate) const SLOPE: &str = "wall_slope";
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
                let points: Vec<_> =
                    (0_u32..).zip(&found).map(|(number, sample)| (f64::from(number), sample.value)).collect();
                let (value, _) = line(&points)?;
                let metric = SLOPE.to_owned();
                Some(Sample { params, metric, value, unit: Unit::Seconds, kind: Kind::Time, ..found[0].clone() })
            });
        slopes.collect()
    }

    fn has(&self, sample: &Sample) -> bool {
        let is_alone = |name| sample.params.get(name).and_then(|number| number.parse().ok()) == Some(1);
        sample.workload == self.workload
            && sample.phase == self.phase
            && sample.metric == "wall"
            && self.alone.is_none_or(is_alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SCHEMA;

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
        assert!((found[0].value - 0.002).abs() < 1e-9 && found[0].metric == SLOPE);
        assert!(found[0].params.to_string().is_empty() && found[0].kind == Kind::Time);
        let flat = growth(&samples("database", "transaction", |_| Params::default(), &[0.003; 10]));
        assert!(flat[0].value.abs() < 1e-12);
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
