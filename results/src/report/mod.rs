//! One HTML page that tells what runs found: in words, tables and charts; it needs no network and no other file.
//!
//! Run directories may come from strangers. Every text of theirs is escaped by the template, the rows for the script are
//! JSON without `<`, charts are drawn anew rather than taken from the directory, and the page's own content security
//! policy lets no script run but the one that is part of this program.

mod cells;
mod figures;
mod history;
mod hosts;
mod overview;
mod plain;
mod policy;
mod provenance;
mod rows;
mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{Recorded, RunRecord, Summary, summarise};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// One run, as the page shows it.
#[derive(Debug, Clone)]
pub struct Run {
    /// What ran.
    pub record: RunRecord,
    /// What it comes to, with what is derived.
    pub summaries: Vec<Summary>,
    /// SVG documents of this crate's own drawing, by name.
    pub charts: Vec<(String, String)>,
}

impl Run {
    /// A run with charts that [`render`](crate::charts::render) drew of it.
    #[must_use]
    pub fn new(recorded: &Recorded, charts: Vec<(String, String)>) -> Self {
        Self { record: recorded.record.clone(), summaries: summarise(&recorded.with_derived()), charts }
    }
}

/// A run and the name that tells its host from the others'.
struct Named<'a> {
    run: &'a Run,
    /// Empty when there is only one run.
    label: String,
}

/// The page.
#[must_use]
pub fn page(runs: &[Run]) -> String {
    let runs = named(runs);
    let title = title(&runs);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(policy::policy(SCRIPT));
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the results" }
                (head(&runs, &title))
                main id="main" { (sections(&runs)) }
                footer { p { "Made by harness " (env!("CARGO_PKG_VERSION")) ". Medians; intervals are 95 % bootstrap intervals of the median." } }
                (rows::data(&runs))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

fn head(runs: &[Named<'_>], title: &str) -> Markup {
    html! {
        header {
            h1 { (title) }
            @for named in runs {
                @let record = &named.run.record;
                p.meta {
                    (record.host.kernel) " · " (record.host.cpu) ", " (record.host.processors()) " · " (record.start)
                    " · " (record.rounds) @if record.rounds == 1 { " round" } @else { " rounds" }
                    " · " (provenance::outcome(record))
                }
            }
            nav aria-label="Sections" {
                a href="#summary" { "Summary" } a href="#overview" { "Overview" } @if plain::tables(runs).is_some() { a href="#plain" { "Over a plain directory" } }
                a href="#figures" { "Key figures" }
                @if runs.len() > 1 { a href="#hosts" { "Hosts" } }
                a href="#charts" { "Charts" } a href="#cells" { "All cells" } a href="#provenance" { "How it was measured" }
            }
        }
    }
}

fn sections(runs: &[Named<'_>]) -> Markup {
    html! {
        section id="summary" aria-labelledby="summary-h" { h2 id="summary-h" { "Summary" } (words::summary(runs)) }
        section id="overview" aria-labelledby="overview-h" { h2 id="overview-h" { "Drivers and workloads" } (overview::tables(runs)) }
        @if let Some(tables) = plain::tables(runs) {
            section id="plain" aria-labelledby="plain-h" { h2 id="plain-h" { "Over a plain directory" } (tables) }
        }
        section id="figures" aria-labelledby="figures-h" { h2 id="figures-h" { "Key figures" } (figures::all(runs)) }
        @if runs.len() > 1 {
            section id="hosts" aria-labelledby="hosts-h" { h2 id="hosts-h" { "Hosts side by side" } (hosts::tables(runs)) }
        }
        section id="charts" aria-labelledby="charts-h" { h2 id="charts-h" { "Charts" } (charts(runs, &history::chart(runs))) }
        section id="cells" aria-labelledby="cells-h" { h2 id="cells-h" { "All cells" } (rows::table(runs)) }
        section id="provenance" aria-labelledby="provenance-h" {
            h2 id="provenance-h" { "How it was measured" }
            @for named in runs { (provenance::of(named)) }
        }
    }
}

fn charts(runs: &[Named<'_>], history: &Markup) -> Markup {
    html! {
        (history)
        @if history.0.is_empty() && runs.iter().all(|named| named.run.charts.is_empty()) { p { "These runs have nothing that there is a chart for." } }
        @for named in runs {
            @for (name, svg) in &named.run.charts {
                figure {
                    div.scroll tabindex="0" role="img" aria-label={ "Chart " (name) " " (named.label) } { (PreEscaped(svg)) }
                    figcaption { (name) @if !named.label.is_empty() { " · " (named.label) } }
                }
            }
        }
    }
}

fn title(runs: &[Named<'_>]) -> String {
    let drivers: std::collections::BTreeSet<_> = runs.iter().flat_map(|named| cells::drivers(named.run)).collect();
    let drivers = words::list(&drivers.into_iter().map(str::to_owned).collect::<Vec<_>>());
    match runs {
        _ if drivers.is_empty() => "What copy-on-write costs: nothing was measured".to_owned(),
        [_, _, ..] => format!("What copy-on-write costs: {drivers} in {} runs", runs.len()),
        _ => format!("What copy-on-write costs: {drivers}"),
    }
}

fn named(runs: &[Run]) -> Vec<Named<'_>> {
    runs.iter().enumerate().map(|(index, run)| Named { run, label: label(runs, index) }).collect()
}

/// Hosts are told apart by kernel and CPU; runs of equal hosts by their id, too.
fn label(runs: &[Run], index: usize) -> String {
    let host =
        |run: &Run| format!("{} · {}, {}", run.record.host.kernel, run.record.host.cpu, run.record.host.processors());
    let full = |run: &Run| format!("{} · {}", host(run), run.record.run);
    let is_alone =
        |name: &dyn Fn(&Run) -> String| runs.iter().filter(|other| name(other) == name(&runs[index])).count() == 1;
    match runs.len() {
        0 | 1 => String::new(),
        _ if is_alone(&host) => host(&runs[index]),
        _ if is_alone(&full) => full(&runs[index]),
        _ => format!("{} · #{}", full(&runs[index]), index + 1),
    }
}

#[cfg(test)]
mod tests;
