//! Several runs: the same key figure of the same driver on each host. Samples of different runs are never put together.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{
    Named,
    cells::{Answer, KEYS, Key, differ, shown, shown_whole, times},
    words::capital,
};
use crate::{RunRecord, Summary};

pub fn tables(runs: &[Named<'_>]) -> Markup {
    html! {
        p.note {
            "One column a run; samples are not mixed. The multiple is of the first column, and is given only where the intervals do not overlap "
            "and the workload had the same parameters, base images and kind of testbed in both. An interval holds what varied within its run; "
            "what varies from run to run on one host, and what another version of the program does, is in the multiple, too."
        }
        @let groups: Vec<_> = KEYS.iter().flat_map(|key| groups(key, runs)).collect();
        @if groups.is_empty() {
            p { "No key figure was measured in more than one of the runs." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Hosts side by side" {
                table {
                    thead { tr { th scope="col" { "Driver" } @for named in runs { th scope="col" { (named.label) } } } }
                    @for group in groups { (group) }
                }
            }
        }
    }
}

/// The rows of each cell that the key has, where more than one run has that cell.
fn groups(key: &Key, runs: &[Named<'_>]) -> Vec<Markup> {
    let answers: Vec<_> = runs.iter().map(|named| key.answer(named.run)).collect();
    let whats: BTreeSet<_> = answers.iter().flatten().map(|answer| answer.what.as_str()).collect();
    let group = |what: &str| {
        let cells = |answer| match answer {
            &Some(Answer { what: ref its, ref cells }) if *its == what => cells.as_slice(),
            _ => &[],
        };
        let columns: Vec<&[&Summary]> = answers.iter().map(cells).collect();
        (columns.iter().filter(|cells| !cells.is_empty()).count() > 1).then(|| rows(what, runs, &columns))
    };
    whats.into_iter().filter_map(group).collect()
}

fn rows(what: &str, runs: &[Named<'_>], columns: &[&[&Summary]]) -> Markup {
    let drivers: BTreeSet<_> = columns.iter().flat_map(|cells| cells.iter()).map(|s| s.driver.as_str()).collect();
    html! {
        tbody {
            tr { th.group scope="rowgroup" colspan=(columns.len() + 1) { (capital(what)) } }
            @for driver in drivers {
                tr {
                    th scope="row" { (driver) }
                    @for (index, cells) in columns.iter().enumerate() {
                        (cell(find(columns[0], driver), find(cells, driver), &runs[0], &runs[index]))
                    }
                }
            }
        }
    }
}

fn find<'a>(cells: &[&'a Summary], driver: &str) -> Option<&'a Summary> {
    cells.iter().copied().find(|s| s.driver == driver)
}

fn cell(first: Option<&Summary>, this: Option<&Summary>, base: &Named<'_>, named: &Named<'_>) -> Markup {
    let Some(this) = this else { return html! { td.none { "–" } } };
    let mismatch = mismatch(&base.run.record, &named.run.record, this);
    let apart = |first: &&Summary| mismatch.is_none() && first.params == this.params && differ(first, this);
    let first = first.filter(apart).filter(|first| first.median > 0.0);
    html! {
        td title=(shown_whole(this)) {
            (shown(this))
            @if let Some(first) = first { " " span.note { "(" (times(this.median / first.median)) ")" } }
            @if let Some(why) = mismatch { " " span.note { "(" (why) ")" } }
        }
    }
}

/// What was not the same, so that a multiple would say something else than what the hosts differ in. Of base images, what only
/// one run has was not used in the other.
fn mismatch(a: &RunRecord, b: &RunRecord, cell: &Summary) -> Option<&'static str> {
    let bed = |record: &RunRecord| {
        let testbed = record.drivers.get(&cell.driver).map(|driver| &driver.testbed)?;
        Some(["testbed", "direct_io", "mount_options"].map(|name| testbed.get(name).cloned()))
    };
    if a.workloads.get(&cell.workload) != b.workloads.get(&cell.workload) {
        Some("other parameters")
    } else if a.images.iter().any(|(name, id)| b.images.get(name).is_some_and(|other| other != id)) {
        Some("other base images")
    } else if bed(a) != bed(b) {
        Some("other testbed")
    } else {
        None
    }
}
