//! One cell over many runs.

use super::{
    canvas::{Frame, svg},
    looks::Looks,
    panels::{Axis, Mark, Of, Panel, Panels, Point, Series},
};
use crate::{Error, Result, RunRecord, Unit, compare};

/// One cell of each driver over runs of one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// What was done, as a noun.
    pub what: String,
    /// Of the values.
    pub unit: Unit,
    /// What the runs had there.
    pub moments: Vec<Moment>,
}

/// What one run had there.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Which run, counted from 1 in the order of their starts.
    pub run: u32,
    /// The driver's column.
    pub driver: String,
    /// Median.
    pub median: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
}

/// Whether the two are runs of one machine, under the same conditions but for the kernel, whose change a history shows.
#[must_use]
pub fn is_continued(earlier: &RunRecord, later: &RunRecord) -> bool {
    let kernels = ["kernel", "kernel configuration"];
    (&earlier.host.cpu, earlier.host.cpus) == (&later.host.cpu, later.host.cpus)
        && compare::differences(earlier, later).iter().all(|difference| kernels.contains(&&*difference.what))
}

/// The same cells in several runs, a panel a cell, a line a driver, as SVG; `None` where there is nothing to draw. `runs` are what
/// the moments' numbers mean.
///
/// # Errors
/// [`Error::Chart`].
pub fn history(runs: &[&RunRecord], cells: &[History]) -> Result<Option<String>> {
    super::register_fonts();
    let looks = Looks::of(cells.iter().flat_map(|cell| &cell.moments).map(|moment| moment.driver.as_str()));
    let panels: Vec<Panel> = cells.iter().map(|cell| panel(cell, &looks)).filter(has_line).collect();
    let Some(last) = runs.last().filter(|_| !panels.is_empty()) else { return Ok(None) };
    let drivers: std::collections::BTreeSet<_> =
        panels.iter().flat_map(|panel| &panel.series).map(|series| series.name.as_str()).collect();
    let host = &last.host;
    let rounds = |run: &&RunRecord| run.rounds;
    let (least, most) = (runs.iter().map(rounds).min().unwrap_or(0), runs.iter().map(rounds).max().unwrap_or(0));
    let rounds = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let chart = Panels {
        frame: Frame {
            title: "The key figures over the runs of one machine".to_owned(),
            subtitle:
                "Grey lines: another commit of the program; red lines: another kernel. Each panel has its own axis"
                    .to_owned(),
            legend: drivers.iter().map(|driver| ((*driver).to_owned(), looks.driver(driver))).collect(),
            caption: vec![
                format!(
                    "Medians of each run; whiskers: 95 % bootstrap interval of the median; n = {rounds} rounds a run; {}, {}.",
                    host.cpu,
                    host.processors()
                ),
                format!("Runs, by their starts: {}.", listed(runs)),
            ],
        },
        x: Axis { name: "run".to_owned(), log: false, of: Of::Quantity(Unit::Count) },
        y: Axis { name: "cost".to_owned(), log: false, of: Of::Quantity(Unit::Seconds) },
        panels,
        apart: true,
        marks: marks(runs),
    };
    svg(&chart).map(Some).map_err(|error| Error::Chart { path: "history".into(), why: error.to_string() })
}

fn panel(cell: &History, looks: &Looks<'_>) -> Panel {
    let mut series: Vec<Series> = Vec::new();
    for moment in &cell.moments {
        let point = Point { x: f64::from(moment.run), y: moment.median, interval: Some(moment.interval) };
        match series.iter_mut().find(|series| series.name == moment.driver) {
            Some(series) => series.points.push(point),
            None => series.push(Series {
                name: moment.driver.clone(),
                look: looks.driver(&moment.driver),
                points: vec![point],
                steps: false,
            }),
        }
    }
    Panel { title: cell.what.clone(), of: Some(Of::Quantity(cell.unit)), series }
}

fn has_line(panel: &Panel) -> bool {
    panel.series.iter().any(|series| series.points.len() > 1)
}

/// Between the runs where the program or the kernel is another.
fn marks(runs: &[&RunRecord]) -> Vec<Mark> {
    let pairs = runs.iter().zip(runs.iter().skip(1)).zip(1_u32..);
    let mark = |((before, after), number): ((&&RunRecord, &&RunRecord), u32)| {
        let x = f64::from(number) + 0.5;
        if before.host.kernel != after.host.kernel {
            return Some(Mark { x, what: format!("Linux {}", after.host.kernel), loud: true });
        }
        let what = format!("commit {}", commit(after));
        (before.commit != after.commit).then_some(Mark { x, what, loud: false })
    };
    pairs.filter_map(mark).collect()
}

fn commit(run: &RunRecord) -> &str {
    let commit = run.commit.as_deref().unwrap_or("unknown");
    commit.get(..9).unwrap_or(commit)
}

/// More would not fit into a line; the first and the last are told.
const TOLD: usize = 4;

/// `1 of 2026-01-01 (Linux 6.1, commit 12345), 2 of ...`.
fn listed(runs: &[&RunRecord]) -> String {
    let one = |(number, run): (usize, &&RunRecord)| {
        let day = run.start.get(..10).unwrap_or(&run.start);
        format!("{} of {day} (Linux {}, commit {})", number + 1, run.host.kernel, commit(run))
    };
    let all: Vec<_> = runs.iter().enumerate().map(one).collect();
    match all.as_slice() {
        [first, .., last] if all.len() > TOLD => format!("{first}, ... {last}"),
        _ => all.join(", "),
    }
}
