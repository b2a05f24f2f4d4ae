use serde::Serialize;

use super::unit;
use crate::{Recorded, compare::CellId, growth::is_slope, rates::is_speed, summarise};

/// One benchmark of github-action-benchmark's `customSmallerIsBetter`.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    unit: &'static str,
    value: f64,
    range: String,
    extra: String,
}

/// What is new, for the history page of [github-action-benchmark](https://github.com/benchmark-action/github-action-benchmark):
/// the tool `customSmallerIsBetter`. Speeds, which are better the larger they are, and slopes over a series, of which there is no
/// multiple, are made of other cells that are there.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn benchmark_action(run: &Recorded) -> serde_json::Result<String> {
    let entries: Vec<Entry> = summarise(&run.with_derived())
        .into_iter()
        .filter(|summary| !is_speed(&summary.metric) && !is_slope(&summary.metric))
        .map(|summary| Entry {
            name: CellId::from(&summary).to_string(),
            unit: unit(summary.unit),
            value: summary.median,
            range: format!("± {}", (summary.ci_high - summary.ci_low) / 2.0),
            extra: format!("{}, n = {}", summary.kind, summary.n),
        })
        .collect();
    serde_json::to_string_pretty(&entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sample, compare::tests::run};

    #[test]
    fn smaller_is_better() {
        let json: serde_json::Value = serde_json::from_str(&benchmark_action(&run(4.0, 0.5)).unwrap()).unwrap();
        assert_eq!(json[0]["name"], "vfs commit[case=many] all device_flushes");
        assert_eq!((&json[0]["unit"], json[0]["value"].as_f64()), (&"count".into(), Some(4.0)));
        assert_eq!((&json[1]["unit"], json[1]["value"].as_f64()), (&"s".into(), Some(0.5)));
    }

    #[test]
    fn speeds_and_slopes_are_not_called_worse_when_they_grow() {
        let mut measured = run(4.0, 0.5);
        let made = |metric: &str| Sample { metric: metric.to_owned(), ..measured.samples[0].clone() };
        let made = [made("entries"), made("wall_slope"), made("memory_taken_slope")];
        measured.samples.extend(made);
        let json = benchmark_action(&measured).unwrap();
        assert!(measured.with_derived().iter().any(|sample| sample.metric == "entries_per_second"));
        assert!(json.contains(" entries") && !json.contains("per_second") && !json.contains("_slope"), "{json}");
    }
}
