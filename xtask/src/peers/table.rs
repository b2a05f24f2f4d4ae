//! The table of ratios, in Markdown.

use std::{collections::BTreeSet, fmt::Write};

use results::{RunRecord, Summary, Unit};

use super::{engine::Work, plain};

/// A row a kind of work, a column an engine with median and n, and how many times faster this engine is than the best peer.
pub fn ratios(summaries: &[Summary], record: &RunRecord) -> String {
    let drivers = columns(summaries);
    let ours = drivers.first().copied().unwrap_or_default();
    let mut text = format!("| work | {} | best peer : {ours} |\n", drivers.join(" | "));
    let _ = writeln!(text, "|{}", " --- |".repeat(drivers.len() + 2));
    for work in Work::ALL {
        for row @ (others, phase, metric) in rows(summaries, work) {
            let find = |driver: &str| {
                let mine = |cell: &&Summary| cell.driver == driver && cell.params.get("work") == Some(work.name());
                summaries.iter().filter(mine).find(|cell| row_of(cell) == row)
            };
            let label = match (phase, metric) {
                ("total", "wall") => work.about().to_owned(),
                ("total", _) => format!("{}: most memory held", work.about()),
                _ => format!("{}: {phase}", work.about()),
            };
            let label = others
                .map_or(label.clone(), |others| format!("{label}, beside {} others", others.trim_start_matches('0')));
            let cells: Vec<_> =
                drivers.iter().map(|driver| find(driver).map_or_else(|| "-".to_owned(), shown)).collect();
            let best = drivers.iter().filter(|driver| is_peer(driver)).filter_map(|driver| find(driver));
            let best = best.map(|cell| cell.median).reduce(f64::min);
            let ratio = best.zip(find(ours)).map(|(best, mine)| format!("{:.1}", best / mine.median));
            let _ = writeln!(text, "| {label} | {} | {} |", cells.join(" | "), ratio.unwrap_or_else(|| "-".to_owned()));
        }
    }
    for (driver, works) in &record.left_out {
        for (work, why) in works.iter().filter(|_| driver != plain::NAME) {
            let _ = writeln!(text, "\n{driver} has no {work}: {why}.");
        }
    }
    for (engine, why) in &record.unusable {
        let _ = writeln!(text, "\n{engine} is left out: {why}.");
    }
    text
}

/// This engine's first, then plain programs, then the peers.
fn columns(summaries: &[Summary]) -> Vec<&str> {
    let drivers: BTreeSet<_> = summaries.iter().map(|cell| cell.driver.as_str()).collect();
    let mut drivers: Vec<_> = drivers.into_iter().collect();
    drivers.sort_by_key(|driver| (is_peer(driver), *driver == plain::NAME, driver.contains('='), *driver));
    drivers
}

/// `engine/driver`; this engine's columns are drivers, with their options.
fn is_peer(driver: &str) -> bool {
    driver.contains('/') && !driver.contains('=')
}

/// How many others there are in the store where that was asked, phase, and metric.
type Row<'a> = (Option<&'a str>, &'a str, &'a str);

fn row_of(cell: &Summary) -> Row<'_> {
    (cell.params.get("others"), cell.phase.as_str(), cell.metric.as_str())
}

fn rows(summaries: &[Summary], work: Work) -> Vec<Row<'_>> {
    let mine = summaries.iter().filter(|cell| cell.params.get("work") == Some(work.name()));
    let found: BTreeSet<_> = mine.map(row_of).collect();
    let mut rows: Vec<_> = found.into_iter().collect();
    rows.sort_by_key(|(others, phase, metric)| (*others, *phase != "total", *metric != "wall"));
    rows
}

fn shown(cell: &Summary) -> String {
    let value = match cell.unit {
        Unit::Seconds if cell.median >= 1.0 => format!("{:.2} s", cell.median),
        Unit::Seconds if cell.median >= 0.1 => format!("{:.0} ms", cell.median * 1e3),
        Unit::Seconds => format!("{:.2} ms", cell.median * 1e3),
        _ => format!("{:.1} MiB", cell.median / f64::from(1 << 20)),
    };
    format!("{value} ({})", cell.n)
}
