//! The summary for a terminal.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{Kind, Summary, Unit, charts::key_figures, rates::is_speed};

/// More rows nobody reads in a terminal: then it is the key figures.
const MOST: usize = 120;

/// A row a cell, a column a driver; the best of each row has a star, the others their ratio to it. Of many cells the key figures
/// alone, which is said.
#[must_use]
pub fn summary_table(summaries: &[Summary]) -> String {
    let shown: Vec<_> = summaries.iter().filter(|summary| is_shown(summary)).collect();
    let drivers: BTreeSet<&str> = shown.iter().map(|summary| summary.driver.as_str()).collect();
    let mut cells: BTreeMap<_, Vec<&Summary>> = BTreeMap::new();
    for summary in &shown {
        cells.entry((&summary.workload, &summary.params, &summary.phase, &summary.metric)).or_default().push(summary);
    }
    let total = cells.len();
    let mut lines: Vec<(String, Vec<&Summary>)> = cells.into_values().map(|cells| (label(cells[0]), cells)).collect();
    let keys = if total > MOST { key_figures(summaries) } else { Vec::new() };
    let few = !keys.is_empty();
    if few {
        lines = keys;
    }
    let row = |(label, cells): &(String, Vec<&Summary>)| {
        let mut row = vec![label.clone()];
        row.extend(drivers.iter().map(|driver| {
            let found = cells.iter().find(|summary| summary.driver == *driver);
            found.map_or_else(|| "-".to_owned(), |summary| text(summary, cells))
        }));
        row
    };
    let mut header = vec![String::new()];
    header.extend(drivers.iter().map(|driver| (*driver).to_owned()));
    let mut table = aligned(&header, &lines.iter().map(row).collect::<Vec<_>>());
    if few {
        let _ = writeln!(table, "\nThe key figures; all {total} cells are in summary.csv and in `harness report`.");
    }
    table
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

/// `tensteps 03 RUN make copied up`, `copyup first device written [depth=1, op=append, size=4096]`.
fn label(summary: &Summary) -> String {
    let name = summary.params.get("dockerfile").unwrap_or(&summary.workload);
    let what = match (&*summary.phase, &*summary.metric) {
        ("total", "wall") => String::new(),
        (phase, "wall") => format!(" {phase}"),
        ("total" | "all", metric) => format!(" {}", plain(metric)),
        (phase, metric) => format!(" {phase} {}", plain(metric)),
    };
    let place = summary.params.get("step").map_or_else(String::new, |step| format!(" {}", shortened(step, 34)));
    let others = summary.params.clone().without("dockerfile").without("step").to_string().replace(';', ", ");
    let others = if others.is_empty() { others } else { format!(" [{others}]") };
    format!("{name}{place}{what}{others}")
}

fn plain(metric: &str) -> String {
    metric.trim_end_matches("_bytes").replace('_', " ")
}

fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).collect::<String>() + "…"
}

/// The median, its interval, and how it stands among its row.
fn text(summary: &Summary, row: &[&Summary]) -> String {
    let value = quantity(summary.median, summary.unit);
    let spread = (summary.ci_high - summary.ci_low) / 2.0;
    let spread = if summary.kind == Kind::Time && spread > 0.0 {
        format!(" ±{}", quantity(spread, summary.unit))
    } else {
        String::new()
    };
    let medians = row.iter().map(|summary| summary.median);
    let (worse, better) = if is_speed(&summary.metric) {
        (medians.fold(f64::NEG_INFINITY, f64::max), summary.median)
    } else {
        (summary.median, medians.fold(f64::INFINITY, f64::min))
    };
    let rank = match worse / better {
        _ if row.len() < 2 => String::new(),
        _ if worse == better => " *".to_owned(),
        // Of nothing there is no multiple.
        ratio if !ratio.is_finite() || better < 0.0 => String::new(),
        ratio if ratio < 1.005 => " *".to_owned(),
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
            outliers: 0,
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
    fn what_is_none_has_a_star_and_what_is_some_of_it_no_multiple() {
        let table = summary_table(&[summary("overlay2", 0.0, 0.0), summary("vfs", 0.35, 0.0)]);
        let line = table.lines().nth(1).unwrap();
        assert!(line.contains("0 µs *") && line.ends_with("350 ms"), "{table}");
    }

    #[test]
    fn cells_are_told_apart_and_many_are_their_key_figures() {
        let cell = |driver: &str, op: &str, size: u32| Summary {
            workload: "copyup".to_owned(),
            phase: "first".to_owned(),
            params: Params::default().with("op", op).with("size", size),
            ..summary(driver, f64::from(size), 0.0)
        };
        let table = summary_table(&[cell("vfs", "append", 1), cell("vfs", "append", 2)]);
        assert!(table.contains("copyup first [op=append, size=1]") && table.contains("size=2]"), "{table}");
        let many: Vec<_> =
            (1..200).flat_map(|size| ["overlay2", "vfs"].map(|driver| cell(driver, "append", size))).collect();
        let table = summary_table(&many);
        assert!(
            table.contains("first write to the largest file: append") && table.contains("all 199 cells"),
            "{table}"
        );
        assert!(table.lines().count() < 10, "{table}");
    }

    #[test]
    fn the_fastest_is_the_best() {
        let speed = |driver: &str, value| Summary {
            metric: "bytes_per_second".to_owned(),
            unit: Unit::Bytes,
            ..summary(driver, value, 0.0)
        };
        let table = summary_table(&[speed("overlay2", 2e6), speed("vfs", 1e6)]);
        assert!(table.contains("2.00 MB *") && table.contains("1.00 MB 2.0x"), "{table}");
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
