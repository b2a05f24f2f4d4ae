//! The summary for a terminal.

use std::{collections::BTreeSet, fmt::Write};

use crate::{Kind, Summary, Unit};

/// A row a step and metric, a column a driver; the best of each row has a star, the others their ratio to it.
#[must_use]
pub fn summary_table(summaries: &[Summary]) -> String {
    let shown: Vec<_> = summaries.iter().filter(|summary| is_shown(summary)).collect();
    let drivers: BTreeSet<&str> = shown.iter().map(|summary| summary.driver.as_str()).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut keys: Vec<_> = shown
        .iter()
        .map(|s| (&s.workload, &s.params, &s.phase, &s.metric))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    keys.sort();
    for (workload, params, phase, metric) in keys {
        let cells: Vec<Option<&&Summary>> = drivers
            .iter()
            .map(|driver| {
                let same =
                    |s: &&&Summary| (&s.workload, &s.params, &s.phase, &s.metric) == (workload, params, phase, metric);
                shown.iter().filter(same).find(|summary| summary.driver == *driver)
            })
            .collect();
        let best = cells.iter().flatten().map(|summary| summary.median).fold(f64::INFINITY, f64::min);
        let mut row = vec![label(workload, params.get("step"), params.get("dockerfile"), phase, metric)];
        row.extend(
            cells.iter().map(|cell| cell.map_or_else(|| "-".to_owned(), |summary| text(summary, best, drivers.len()))),
        );
        rows.push(row);
    }
    let mut header = vec![String::new()];
    header.extend(drivers.iter().map(|driver| (*driver).to_owned()));
    aligned(&header, &rows)
}

/// Totals of steps, of the build and of the run; the phases of each step are in summary.csv.
fn is_shown(summary: &Summary) -> bool {
    let step = summary.params.get("step").is_some();
    match (step, summary.phase.as_str(), summary.metric.as_str()) {
        (true, "total", "wall") | (true, _, "copied_up_bytes" | "layer_bytes" | "device_written_bytes") => {
            summary.kind == Kind::Time || summary.median > 0.0
        }
        (false, ..) => true,
        _ => false,
    }
}

fn label(workload: &str, step: Option<&str>, dockerfile: Option<&str>, phase: &str, metric: &str) -> String {
    let name = dockerfile.unwrap_or(workload);
    let what = match (phase, metric) {
        ("total", "wall") => String::new(),
        (phase, "wall") => format!(" {phase}"),
        (_, metric) => format!(" {}", metric.replace('_', " ").replace(" bytes", "")),
    };
    let place = step.map_or_else(String::new, |step| format!(" {}", shortened(step, 34)));
    format!("{name}{place}{what}")
}

fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).collect::<String>() + "…"
}

fn text(summary: &Summary, best: f64, drivers: usize) -> String {
    let value = quantity(summary.median, summary.unit);
    let spread = (summary.ci_high - summary.ci_low) / 2.0;
    let spread = if summary.kind == Kind::Time && spread > 0.0 {
        format!(" ±{}", quantity(spread, summary.unit))
    } else {
        String::new()
    };
    let rank = match summary.median / best {
        _ if drivers < 2 => String::new(),
        ratio if !ratio.is_finite() || ratio < 1.005 => " *".to_owned(),
        ratio => format!(" {ratio:.1}x"),
    };
    format!("{value}{spread}{rank}")
}

/// Three digits and a unit: `1.23 ms`, `75.1 MB`.
pub(crate) fn quantity(value: f64, unit: Unit) -> String {
    let scaled = |factors: &[(f64, &str)]| {
        let (factor, name) =
            factors.iter().find(|(factor, _)| value.abs() >= *factor).unwrap_or(&factors[factors.len() - 1]);
        let scaled = value / factor;
        let decimals = if scaled >= 99.95 || scaled == 0.0 {
            0
        } else if scaled >= 9.995 {
            1
        } else {
            2
        };
        format!("{scaled:.decimals$} {name}")
    };
    match unit {
        Unit::Seconds => scaled(&[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")]),
        Unit::Bytes => scaled(&[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]),
        Unit::Count => format!("{value:.0}"),
        Unit::Ratio if value.abs() >= 99.95 => format!("{value:.0}"),
        Unit::Ratio => format!("{value:.2}"),
    }
}

pub(crate) fn aligned(header: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .chain([&header.to_vec()])
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for row in std::iter::once(&header.to_vec()).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = widths[column] - cell.chars().count();
            let (before, after) = if column == 0 { (0, pad) } else { (pad, 0) };
            let _ = write!(line, "{}{cell}{}  ", " ".repeat(before), " ".repeat(after));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    fn summary(driver: &str, median: f64, width: f64) -> Summary {
        Summary {
            driver: driver.to_owned(),
            workload: "build".to_owned(),
            params: Params::default().with("dockerfile", "tutorial"),
            phase: "total".to_owned(),
            metric: "wall".to_owned(),
            unit: Unit::Seconds,
            kind: Kind::Time,
            n: 5,
            median,
            ci_low: median - width,
            ci_high: median + width,
            mad: width,
        }
    }

    #[test]
    fn the_best_is_starred_and_the_others_say_how_far_off() {
        let table = summary_table(&[summary("overlay2", 0.1, 0.01), summary("vfs", 0.35, 0.0)]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["overlay2", "vfs"]);
        assert!(lines[1].contains("100 ms ±10.0 ms *"), "{table}");
        assert!(lines[1].ends_with("350 ms 3.5x"), "{table}");
    }

    #[test]
    fn quantities_have_three_digits() {
        let cases = [(0.0, "0 µs"), (0.001_234, "1.23 ms"), (0.099_99, "100 ms"), (12.34, "12.3 s")];
        for (value, text) in cases {
            assert_eq!(quantity(value, Unit::Seconds), text);
        }
        assert_eq!(quantity(75_100_000.0, Unit::Bytes), "75.1 MB");
    }
}
