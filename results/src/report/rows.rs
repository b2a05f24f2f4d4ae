//! The table of all cells: rows as data for the page's script, which shows, sorts and filters them.

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use super::Named;
use crate::Summary;

/// More than any run has with the workloads' defaults; a page that a browser opens at once.
const MOST: usize = 12_000;

const COLUMNS: &[(&str, &str)] = &[
    ("Run", "text"),
    ("Driver", "text"),
    ("Workload", "text"),
    ("Parameters", "text"),
    ("Phase", "text"),
    ("Metric", "text"),
    ("Median", "number"),
    ("Low", "number"),
    ("High", "number"),
    ("MAD", "number"),
    ("n", "number"),
    ("Outliers", "number"),
    ("Kind", "text"),
];

pub fn table(runs: &[Named<'_>]) -> Markup {
    let total: usize = runs.iter().map(|named| named.run.summaries.len()).sum();
    html! {
        noscript { p.warning { "This table needs JavaScript; the same rows are in each run's summary.csv." } }
        p.note { (total) " cells. Low and high are the ends of the 95 % interval; outliers are values more than five MAD from the median, of five or more, and are kept."
            @if total > MOST { " The first " (MOST) " are on this page; summary.csv has all." } }
        form.filter id="filter" role="search" {
            label { "Filter " input type="search" name="text" autocomplete="off" placeholder="overlay2 copyup wall"; }
            @for (name, column) in [("Driver", 1), ("Workload", 2), ("Kind", 12)] {
                label { (name) " " select data-column=(column) { option value="" { "all" } } }
            }
            output id="shown" aria-live="polite" {}
        }
        div.scroll.rows tabindex="0" role="region" aria-label="All cells" {
            table id="rows" {
                thead { tr {
                    @for (index, (name, kind)) in COLUMNS.iter().enumerate().skip(usize::from(runs.len() < 2)) {
                        th scope="col" aria-sort="none" data-column=(index) data-kind=(kind) { button type="button" { (name) } }
                    }
                } }
                tbody {}
            }
        }
        p { button.more type="button" id="more" { "Show more" } }
    }
}

#[derive(Serialize)]
struct Data<'a> {
    labels: Vec<&'a str>,
    rows: Vec<Row<'a>>,
}

/// Run, driver, workload, parameters, phase, metric, median, low, high, mad, n, outliers, kind, unit.
type Row<'a> = (usize, &'a str, &'a str, String, &'a str, &'a str, f64, f64, f64, f64, usize, usize, String, String);

pub fn data(runs: &[Named<'_>]) -> Markup {
    let all = runs.iter().enumerate().flat_map(|(run, named)| named.run.summaries.iter().map(move |s| row(run, s)));
    let data = Data { labels: runs.iter().map(|named| named.label.as_str()).collect(), rows: all.take(MOST).collect() };
    // Numbers and strings always have a form in JSON. `<` would end the element, or begin a comment in it.
    let json = serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c");
    html! { script type="application/json" id="data" { (PreEscaped(json)) } }
}

fn row(run: usize, s: &Summary) -> Row<'_> {
    (
        run,
        &s.driver,
        &s.workload,
        s.params.to_string(),
        &s.phase,
        &s.metric,
        s.median,
        s.ci_low,
        s.ci_high,
        s.mad,
        s.n,
        s.outliers,
        s.kind.to_string(),
        s.unit.to_string(),
    )
}
