//! Several runs: the same key figure of the same driver on each host. Samples of different runs are never put together.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{
    Named,
    cells::{KEYS, differ, shown, shown_whole, times},
};
use crate::Summary;

pub fn tables(runs: &[Named<'_>]) -> Markup {
    html! {
        p.note {
            "One column a run; samples are not mixed. The multiple is of the first column, and is given only where the intervals do not overlap "
            "and the workload had the same parameters, base images and kind of testbed in both."
        }
        @for key in KEYS {
            @let answers: Vec<_> = runs.iter().map(|named| key.answer(named.run)).collect();
            @let whats: BTreeSet<_> = answers.iter().flatten().map(|answer| answer.what.as_str()).collect();
            @for what in whats {
                @let of: Vec<&[&Summary]> = answers.iter()
                    .map(|answer| answer.as_ref().filter(|answer| answer.what == what).map_or(&[][..], |answer| &answer.cells)).collect();
                (table(what, runs, &of))
            }
        }
    }
}

fn table(what: &str, runs: &[Named<'_>], columns: &[&[&Summary]]) -> Markup {
    let drivers: BTreeSet<_> = columns.iter().flat_map(|cells| cells.iter()).map(|s| s.driver.as_str()).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Hosts: " (what) } {
            table {
                caption { (what) }
                thead { tr { th scope="col" { "Driver" } @for named in runs { th scope="col" { (named.label) } } } }
                tbody {
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
    }
}

fn find<'a>(cells: &[&'a Summary], driver: &str) -> Option<&'a Summary> {
    cells.iter().copied().find(|s| s.driver == driver)
}

fn cell(first: Option<&Summary>, this: Option<&Summary>, base: &Named<'_>, named: &Named<'_>) -> Markup {
    let Some(this) = this else { return html! { td.none { "–" } } };
    let ratio = first.filter(|first| {
        comparable(base, named, this) && first.params == this.params && differ(first, this) && first.median > 0.0
    });
    html! {
        td title=(shown_whole(this)) {
            (shown(this))
            @if let Some(first) = ratio { " " span.note { "(" (times(this.median / first.median)) ")" } }
            @if !comparable(base, named, this) { " " span.note { "(other parameters)" } }
        }
    }
}

fn comparable(a: &Named<'_>, b: &Named<'_>, cell: &Summary) -> bool {
    let (a, b) = (&a.run.record, &b.run.record);
    let bed = |record: &crate::RunRecord| {
        record.drivers.get(&cell.driver).map(|driver| driver.testbed.get("testbed").cloned())
    };
    a.workloads.get(&cell.workload) == b.workloads.get(&cell.workload) && a.images == b.images && bed(a) == bed(b)
}
