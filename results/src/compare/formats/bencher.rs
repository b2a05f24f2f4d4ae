use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Recorded, Unit, compare::CellId, summarise};

/// One metric of Bencher Metric Format.
#[derive(Debug, Serialize)]
struct Metric {
    value: f64,
    lower_value: f64,
    upper_value: f64,
}

/// What is new, in [Bencher Metric Format](https://bencher.dev/docs/reference/bencher-metric-format/): by benchmark, by measure.
/// Times are of the built-in measure `latency`, which is in nanoseconds; the others carry the metric's own name.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn bencher(run: &Recorded) -> serde_json::Result<String> {
    let mut benchmarks: BTreeMap<String, BTreeMap<String, Metric>> = BTreeMap::new();
    for summary in summarise(&run.with_derived()) {
        let cell = CellId::from(&summary);
        let (measure, scale) = match (summary.unit, summary.metric.as_str()) {
            (Unit::Seconds, "wall") => ("latency".to_owned(), 1e9),
            (_, metric) => (metric.replace('_', "-"), 1.0),
        };
        let metric = Metric {
            value: summary.median * scale,
            lower_value: summary.ci_low * scale,
            upper_value: summary.ci_high * scale,
        };
        let name = cell.to_string();
        let name = name.strip_suffix(&cell.metric).unwrap_or(&name).trim_end().to_owned();
        benchmarks.entry(name).or_default().insert(measure, metric);
    }
    serde_json::to_string_pretty(&benchmarks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::run;

    #[test]
    fn latency_is_in_nanoseconds() {
        let json: serde_json::Value = serde_json::from_str(&bencher(&run(4.0, 0.5)).unwrap()).unwrap();
        let cell = &json["vfs commit[case=many] all"];
        assert_eq!(cell["latency"]["value"].as_f64(), Some(5e8));
        assert_eq!(cell["device-flushes"]["value"].as_f64(), Some(4.0));
    }
}
