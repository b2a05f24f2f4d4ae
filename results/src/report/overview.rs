//! Driver by workload: how many times the cheapest driver's time each one takes.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::{
    Named, Run,
    cells::{differ, drivers, times},
};
use crate::{Summary, Unit};

pub fn tables(runs: &[Named<'_>]) -> Markup {
    html! {
        p.note {
            "Times as a multiple of the driver that is cheapest in the same cell, as the geometric mean over a workload's cells; 1.0× is the "
            "cheapest in all of them. ≈ marks where most cells cannot be told from the cheapest: their intervals overlap, or they were measured "
            "fewer than three times. Only cells that every driver in the row has are taken."
        }
        @for named in runs { (table(named)) }
    }
}

fn table(named: &Named<'_>) -> Markup {
    let drivers = drivers(named.run);
    let workloads: BTreeSet<_> = named.run.summaries.iter().map(|s| s.workload.as_str()).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Drivers and workloads " (named.label) } {
            table.heat {
                @if !named.label.is_empty() { caption { (named.label) } }
                thead { tr { th scope="col" { "Workload" } @for driver in &drivers { th scope="col" { (driver) } } } }
                tbody {
                    @for workload in workloads {
                        @let ratios = ratios(named.run, workload);
                        tr {
                            th scope="row" { (workload) }
                            @for driver in &drivers { (cell(ratios.get(driver))) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(ratio: Option<&Ratio>) -> Markup {
    let Some(ratio) = ratio else { return html! { td.none title="not measured, or nothing in common" { "–" } } };
    let tip = format!("{} cells, {} of them not to be told from the cheapest", ratio.cells, ratio.alike);
    let heat = heat(ratio.mean);
    html! { td class={ "heat" (heat) } title=(tip) { (times(ratio.mean)) @if ratio.alike * 2 > ratio.cells { " ≈" } } }
}

/// Seven steps, a factor of about 1.5, 2, 3, 6, 15, 50.
pub fn heat(ratio: f64) -> usize {
    [1.05, 1.5, 2.0, 3.0, 6.0, 15.0, 50.0].iter().take_while(|edge| ratio > **edge).count()
}

struct Ratio {
    mean: f64,
    cells: usize,
    alike: usize,
}

fn ratios<'a>(run: &'a Run, workload: &str) -> BTreeMap<&'a str, Ratio> {
    let mut cells: BTreeMap<_, Vec<&Summary>> = BTreeMap::new();
    let is_time =
        |s: &&Summary| s.workload == workload && s.metric == "wall" && s.unit == Unit::Seconds && s.median > 0.0;
    for s in run.summaries.iter().filter(is_time) {
        cells.entry((&s.params, &s.phase)).or_default().push(s);
    }
    let present: BTreeSet<_> = cells.values().flatten().map(|s| s.driver.as_str()).collect();
    let mut found: BTreeMap<&str, Ratio> = BTreeMap::new();
    for cell in cells.values().filter(|cell| cell.len() == present.len()) {
        let Some(best) = cell.iter().min_by(|a, b| a.median.total_cmp(&b.median)) else { continue };
        for s in cell {
            let ratio = found.entry(&s.driver).or_insert(Ratio { mean: 0.0, cells: 0, alike: 0 });
            ratio.mean += (s.median / best.median).ln();
            ratio.cells += 1;
            ratio.alike += usize::from(s.driver != best.driver && !differ(best, s));
        }
    }
    for ratio in found.values_mut() {
        ratio.mean = (ratio.mean / ratio.cells as f64).exp();
    }
    found
}
