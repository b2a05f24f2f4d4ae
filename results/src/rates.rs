//! Rates and prices: a cost for each of what was done, and how much was done in a second.

use std::collections::BTreeMap;

use crate::{Kind, Params, Sample, Unit};

/// One metric by another of the same cell, in each round.
struct Quotient {
    name: &'static str,
    /// The first of these that the cell has.
    of: &'static [&'static str],
    by: &'static [&'static str],
    workloads: &'static [&'static str],
    unit: Unit,
    kind: Kind,
}

const DONE: &[&str] = &["entries", "changes"];
const LAYERS: &[&str] = &["diff", "commit", "apply"];

const QUOTIENTS: [Quotient; 4] = [
    Quotient {
        name: "bytes_per_second",
        of: &["content_bytes", "read_bytes"],
        by: &["wall"],
        workloads: &["diff", "apply", "read"],
        unit: Unit::Bytes,
        kind: Kind::Time,
    },
    Quotient {
        name: "entries_per_second",
        of: DONE,
        by: &["wall"],
        workloads: &["diff", "commit", "apply", "metadata"],
        unit: Unit::Count,
        kind: Kind::Time,
    },
    Quotient {
        name: "syscalls_per_entry",
        of: &["syscalls"],
        by: DONE,
        workloads: LAYERS,
        unit: Unit::Ratio,
        kind: Kind::Shape,
    },
    Quotient {
        name: "examined_per_entry",
        of: &["examined"],
        by: DONE,
        workloads: LAYERS,
        unit: Unit::Ratio,
        kind: Kind::Shape,
    },
];

/// How many times as long as the second write to a file the first one takes.
const PENALTY: &str = "first_write_penalty";

/// Whether a metric is one of these: made of others, which are judged themselves.
pub(crate) fn is_rate(metric: &str) -> bool {
    metric == PENALTY || QUOTIENTS.iter().any(|quotient| quotient.name == metric)
}

/// Whether more of it is better.
pub(crate) fn is_speed(metric: &str) -> bool {
    metric.ends_with("_per_second")
}

/// All that these samples have, round by round.
pub(crate) fn rates(samples: &[Sample]) -> Vec<Sample> {
    type Place<'a> = (&'a str, &'a str, &'a Params, &'a str, u32);
    let mut cells: BTreeMap<Place<'_>, BTreeMap<&str, &Sample>> = BTreeMap::new();
    for sample in samples {
        let place = (&*sample.driver, &*sample.workload, &sample.params, &*sample.phase, sample.round);
        cells.entry(place).or_default().insert(&sample.metric, sample);
    }
    let mut rates = Vec::new();
    for ((driver, workload, params, phase, round), cell) in &cells {
        let find = |names: &[&str]| names.iter().find_map(|name| cell.get(name).copied());
        for quotient in QUOTIENTS.iter().filter(|quotient| quotient.workloads.contains(workload)) {
            let made = made(quotient.name, find(quotient.of), find(quotient.by), quotient.unit, quotient.kind);
            rates.extend(made);
        }
        if (*workload, *phase) == ("copyup", "first") {
            let second = cells.get(&(*driver, *workload, *params, "second", *round)).and_then(|cell| cell.get("wall"));
            rates.extend(made(PENALTY, cell.get("wall").copied(), second.copied(), Unit::Ratio, Kind::Time));
        }
    }
    rates
}

fn made(name: &str, of: Option<&Sample>, by: Option<&Sample>, unit: Unit, kind: Kind) -> Option<Sample> {
    let (of, by) = (of?, by.filter(|by| by.value > 0.0)?);
    Some(Sample { metric: name.to_owned(), value: of.value / by.value, unit, kind, ..of.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SCHEMA;

    fn sample(workload: &str, phase: &str, metric: &str, value: f64) -> Sample {
        Sample {
            schema: SCHEMA,
            run: "r".to_owned(),
            driver: "d".to_owned(),
            workload: workload.to_owned(),
            params: Params::default(),
            round: 1,
            phase: phase.to_owned(),
            metric: metric.to_owned(),
            value,
            unit: Unit::Count,
            kind: Kind::Counter,
        }
    }

    #[test]
    fn what_was_done_has_a_rate_and_a_price() {
        let cell = |metric, value| sample("diff", "diff", metric, value);
        let samples = [
            cell("wall", 0.5),
            cell("entries", 10.0),
            cell("content_bytes", 4e6),
            cell("syscalls", 70.0),
            cell("examined", 2000.0),
        ];
        let found: Vec<_> = rates(&samples).into_iter().map(|sample| (sample.metric, sample.value)).collect();
        let expected = [
            ("bytes_per_second", 8e6),
            ("entries_per_second", 20.0),
            ("syscalls_per_entry", 7.0),
            ("examined_per_entry", 200.0),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
        assert!(found.iter().all(|(metric, _)| is_rate(metric)));
        assert_eq!(rates(&[cell("wall", 0.0), cell("entries", 1.0)]), [], "no time, no rate");
    }

    #[test]
    fn the_first_write_is_held_against_the_second() {
        let samples = ["first", "second"]
            .map(|phase| sample("copyup", phase, "wall", if phase == "first" { 0.003 } else { 0.001 }));
        let found = rates(&samples);
        assert_eq!(found.len(), 1);
        assert!((found[0].value - 3.0).abs() < 1e-9 && found[0].kind == Kind::Time, "{found:?}");
    }
}
