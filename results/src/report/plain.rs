//! What a mounted layer costs beyond a plain directory, which vfs's is: a directory of the file system below.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    Named, Run,
    cells::{differ, is_interval, shown, times},
};
use crate::{Params, Summary};

/// The driver whose mounted layer is a plain directory.
const CONTROL: &str = "vfs";

/// Work within a mounted layer: the workload, and those of its phases that are not, since making, mounting and unmounting a
/// layer is no matter of a directory.
const WITHIN: [(&str, &[&str]); 5] = [
    ("copyup", &[]),
    ("metadata", &[]),
    ("read", &[]),
    ("layers", &["prepare", "mount", "unmount"]),
    ("database", &[]),
];

/// Nothing where no run has both a plain directory and something to hold against it.
pub fn tables(runs: &[Named<'_>]) -> Option<Markup> {
    let all: Vec<_> = runs.iter().map(|named| (named, of_run(named.run))).filter(|(_, of)| !of.is_empty()).collect();
    if all.is_empty() {
        return None;
    }
    Some(html! {
        p.note {
            "A mounted layer of " (CONTROL) " is a plain directory, so what the others take beyond it is their copy-on-write. Times as a multiple of "
            (CONTROL) "'s in the same cell; in brackets what the two medians' intervals leave open. ≈ marks what cannot be told from the plain "
            "directory: the intervals overlap, or there are fewer than three values. What " (CONTROL) " paid before, when the layer was made, is not in it."
        }
        @for (named, workloads) in &all {
            @if !named.label.is_empty() { h3 { (named.label) } }
            @for workload in workloads { (workload.shown()) }
        }
    })
}

/// The cells of one workload that the plain directory and another driver have.
struct Within<'a> {
    workload: &'static str,
    drivers: Vec<&'a str>,
    cells: Vec<Cell<'a>>,
}

struct Cell<'a> {
    params: &'a Params,
    phase: &'a str,
    plain: &'a Summary,
    /// In the order of the drivers.
    others: Vec<Option<&'a Summary>>,
}

fn of_run(run: &Run) -> Vec<Within<'_>> {
    WITHIN.iter().filter_map(|(workload, without)| of_workload(run, workload, without)).collect()
}

fn of_workload<'a>(run: &'a Run, workload: &'static str, without: &[&str]) -> Option<Within<'a>> {
    let fits = |s: &&Summary| {
        s.workload == workload
            && s.metric == "wall"
            && s.median > 0.0
            && s.median.is_finite()
            && !without.contains(&&*s.phase)
    };
    let mut cells: BTreeMap<(&Params, &str), Vec<&Summary>> = BTreeMap::new();
    for s in run.summaries.iter().filter(fits) {
        cells.entry((&s.params, &s.phase)).or_default().push(s);
    }
    let has_plain = |found: &Vec<&Summary>| found.len() > 1 && found.iter().any(|s| s.driver == CONTROL);
    cells.retain(|_, found| has_plain(found));
    let mut drivers: Vec<&str> =
        cells.values().flatten().map(|s| s.driver.as_str()).filter(|driver| *driver != CONTROL).collect();
    drivers.sort_unstable();
    drivers.dedup();
    let of = |found: &[&'a Summary], driver: &str| found.iter().find(|s| s.driver == driver).copied();
    let cells = cells.iter().filter_map(|((params, phase), found)| {
        let others = drivers.iter().map(|driver| of(found, driver)).collect();
        Some(Cell { params, phase, plain: of(found, CONTROL)?, others })
    });
    let cells: Vec<_> = cells.collect();
    (!cells.is_empty()).then_some(Within { workload, drivers, cells })
}

impl Within<'_> {
    fn shown(&self) -> Markup {
        html! {
            details {
                summary { (self.workload) ": " (self.said().join("; ")) }
                div.scroll tabindex="0" role="region" aria-label={ "Over a plain directory: " (self.workload) } {
                    table.heat {
                        thead { tr {
                            th scope="col" { "Phase" } th.text scope="col" { "Parameters" } th scope="col" { (CONTROL) }
                            @for driver in &self.drivers { th scope="col" { (driver) } }
                        } }
                        tbody { @for cell in &self.cells { (cell.row()) } }
                    }
                }
            }
        }
    }

    /// "overlay2 more in 12 of 40 cells, 3.1× in the middle".
    fn said(&self) -> Vec<String> {
        self.drivers.iter().enumerate().map(|(index, driver)| self.said_of(index, driver)).collect()
    }

    fn said_of(&self, index: usize, driver: &str) -> String {
        let pairs: Vec<_> = self.cells.iter().filter_map(|cell| Some((cell.plain, cell.others[index]?))).collect();
        let apart = |is: fn(f64) -> bool| {
            let ratios =
                pairs.iter().filter(|(plain, other)| differ(plain, other)).map(|(plain, other)| ratio(plain, other));
            ratios.filter(|ratio| is(*ratio)).collect::<Vec<_>>()
        };
        let (more, less) = (apart(|ratio| ratio > 1.0), apart(|ratio| ratio < 1.0));
        let mut said = format!("{driver} costs more in {} of {} cells", more.len(), pairs.len());
        if !more.is_empty() {
            let mean = (more.iter().map(|ratio| ratio.ln()).sum::<f64>() / more.len() as f64).exp();
            said += &format!(" ({} there)", times(mean));
        }
        if !less.is_empty() {
            said += &format!(", less in {}", less.len());
        }
        said
    }
}

impl Cell<'_> {
    fn row(&self) -> Markup {
        html! {
            tr {
                th scope="row" { (self.phase) } td.text { (self.params) } td { (shown(self.plain)) }
                @for other in &self.others {
                    @match other { Some(other) => { (against(self.plain, other)) } None => { td.none title="not measured" { "–" } } }
                }
            }
        }
    }
}

fn against(plain: &Summary, other: &Summary) -> Markup {
    let ratio = ratio(plain, other);
    let range = format!(" ({} to {})", times(other.ci_low / plain.ci_high), times(other.ci_high / plain.ci_low));
    let range = if is_interval(plain) && is_interval(other) { range } else { String::new() };
    let is_apart = differ(plain, other);
    let heat = if is_apart { super::overview::heat(ratio) } else { 0 };
    html! { td class={ "heat" (heat) } title=(shown(other)) { (times(ratio)) @if !is_apart { " ≈" } span.note { (range) } } }
}

fn ratio(plain: &Summary, other: &Summary) -> f64 {
    other.median / plain.median
}

#[cfg(test)]
mod tests {
    use super::{super::tests::run_of, *};
    use crate::{Kind, SCHEMA, Sample, Unit};

    fn cell(driver: &str, workload: &str, phase: &str, values: [f64; 3]) -> Vec<Sample> {
        let sample = |(round, value)| Sample {
            schema: SCHEMA,
            run: "r".into(),
            driver: driver.into(),
            workload: workload.into(),
            params: Params::default().with("n", 1),
            round,
            phase: phase.into(),
            metric: "wall".into(),
            value,
            unit: Unit::Seconds,
            kind: Kind::Time,
        };
        (1..).zip(values).map(sample).collect()
    }

    fn page(samples: Vec<Sample>) -> Option<String> {
        let run = run_of(samples);
        tables(&[Named { run: &run, label: String::new() }]).map(maud::PreEscaped::into_string)
    }

    #[test]
    fn each_cell_is_held_against_the_plain_directory() {
        let text = page(
            [
                cell("vfs", "copyup", "first", [0.010, 0.011, 0.010]),
                cell("overlay2", "copyup", "first", [0.040, 0.044, 0.042]),
                cell("btrfs", "copyup", "first", [0.010, 0.012, 0.011]),
            ]
            .concat(),
        );
        let text = text.unwrap();
        assert!(
            text.contains("btrfs costs more in 0 of 1 cells; overlay2 costs more in 1 of 1 cells (4.2× there)"),
            "{text}"
        );
        assert!(text.contains("4.2×<span class=\"note\"> (3.6× to 4.4×)"), "{text}");
        assert!(text.contains("1.1× ≈<span class=\"note\"> (0.9× to 1.2×)"), "{text}");
    }

    #[test]
    fn what_is_not_within_a_layer_or_has_no_plain_directory_is_not_shown() {
        let both = |workload, phase| {
            page([cell("vfs", workload, phase, [1.0; 3]), cell("overlay2", workload, phase, [2.0; 3])].concat())
        };
        assert!(both("layers", "readdir").is_some());
        assert!(both("layers", "mount").is_none() && both("build", "run").is_none());
        assert!(page(cell("overlay2", "copyup", "first", [1.0; 3])).is_none());
        assert!(page(cell("vfs", "copyup", "first", [1.0; 3])).is_none());
    }
}
