//! Everything on one page: each driver's cost of each kind of work, as a multiple of the best one's.

use std::collections::BTreeSet;

use super::{
    heatmap::{Cell, Heatmap, Row},
    view::{View, values},
};
use crate::{Summary, Unit, table::quantity};

/// One row: which cell of which workload stands for it.
struct Question {
    label: &'static str,
    workload: &'static str,
    phase: &'static str,
    metric: &'static str,
    /// Parameters that the cell must have; `*` is the largest there is.
    params: &'static [(&'static str, &'static str)],
}

macro_rules! question {
    ($label:literal, $workload:literal, $phase:literal, $metric:literal $(, $name:literal = $value:literal)*) => {
        Question { label: $label, workload: $workload, phase: $phase, metric: $metric, params: &[$(($name, $value)),*] }
    };
}

const QUESTIONS: &[Question] = &[
    question!("build the ten-step image", "build", "build", "wall", "dockerfile" = "tensteps"),
    question!("... bytes written to the device", "build", "build", "device_written_bytes", "dockerfile" = "tensteps"),
    question!("run an image once", "build", "container", "wall", "dockerfile" = "tensteps"),
    question!(
        "a container's life, one after the other",
        "lifecycle",
        "life",
        "wall",
        "level" = "container",
        "parallel" = "01"
    ),
    question!("a container's life, many at once", "lifecycle", "life", "wall", "level" = "container", "parallel" = "*"),
    question!("a layer's life without a program", "lifecycle", "life", "wall", "level" = "driver", "parallel" = "01"),
    question!("memory that one more container takes", "density", "one more", "memory_cgroup_slope"),
    question!("first write to the largest file: append", "copyup", "first", "wall", "op" = "append", "size" = "*"),
    question!("... space taken", "copyup", "first", "allocated_bytes", "op" = "append", "size" = "*"),
    question!("second write to it", "copyup", "second", "wall", "op" = "append", "size" = "*"),
    question!("first chmod of the largest file", "copyup", "first", "wall", "op" = "chmod", "size" = "*"),
    question!("chmod of many files", "metadata", "chmod", "wall", "tree" = "many"),
    question!("look at many files", "metadata", "stat", "wall", "tree" = "many"),
    question!(
        "cold read by several containers",
        "read",
        "read",
        "device_read_bytes",
        "cache" = "cold",
        "containers" = "*",
        "pattern" = "sequential"
    ),
    question!("page cache for all of them, by one's", "read", "page cache", "page_cache_factor", "containers" = "*"),
    question!("mount a deep stack", "layers", "mount", "wall", "depth" = "*"),
    question!("open a file through it", "layers", "open", "wall", "depth" = "*"),
    question!("diff: one file changed in a large tree", "diff", "diff", "wall", "case" = "one-in-large"),
    question!("diff: many files changed", "diff", "diff", "wall", "case" = "many"),
    question!("commit: many files changed", "commit", "all", "wall", "case" = "many"),
    question!("apply a layer", "apply", "apply", "wall", "case" = "many"),
    question!("remove a layer", "delete", "remove", "wall", "case" = "many"),
    question!(
        "database: flushes for a transaction",
        "database",
        "all",
        "flushes_per_transaction",
        "file" = "image",
        "journal" = "wal"
    ),
    question!("the snapshotters' mix", "snapshotter", "all", "wall"),
];

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Heatmap)> {
    let drivers: BTreeSet<&str> = view.summaries.iter().map(|summary| summary.driver.as_str()).collect();
    if drivers.len() < 2 {
        return Vec::new();
    }
    let rows: Vec<(Row, Vec<&Summary>)> =
        QUESTIONS.iter().filter_map(|question| row(view, question, &drivers)).collect();
    if rows.len() < 3 {
        return Vec::new();
    }
    let shown: Vec<&Summary> = rows.iter().flat_map(|(_, cells)| cells.iter().copied()).collect();
    let how = "Medians, as multiples of the best in the row; \"=\": not to be told from the best: the 95 % intervals overlap, or fewer than three rounds";
    let frame = super::canvas::Frame {
        title: "What each driver costs".to_owned(),
        subtitle: "Multiples of the best driver's cost, row by row; the darker, the dearer".to_owned(),
        legend: Vec::new(),
        caption: view.caption(&shown, &drivers, how, "page cache warm but where the row says cold"),
    };
    let columns = drivers.into_iter().map(str::to_owned).collect();
    vec![("overview".to_owned(), Heatmap { frame, columns, rows: rows.into_iter().map(|(row, _)| row).collect() })]
}

/// The questions that these summaries answer, and each driver's answer.
pub fn key_figures(summaries: &[Summary]) -> Vec<(String, Vec<&Summary>)> {
    let named = |question: &Question| Some((question.label.to_owned(), answers(summaries, question)?));
    let mut workload = "";
    let mut figures = Vec::new();
    for question in QUESTIONS {
        // "... space taken" is of the row above, and means nothing alone.
        let continued = question.label.strip_prefix("... ").filter(|_| workload != question.workload);
        if let Some((label, cells)) = named(question) {
            workload = question.workload;
            figures.push((continued.map_or(label, str::to_owned), cells));
        }
    }
    figures
}

fn answers<'a>(summaries: &'a [Summary], question: &Question) -> Option<Vec<&'a Summary>> {
    let mut mine: Vec<&Summary> = summaries
        .iter()
        .filter(|summary| summary.workload == question.workload)
        .filter(|summary| (&*summary.phase, &*summary.metric) == (question.phase, question.metric))
        .filter(|summary| summary.params.get("step").is_none())
        .collect();
    for (name, value) in question.params {
        let wanted = match *value {
            "*" => values(&mine, name).last().copied()?.to_owned(),
            value => value.to_owned(),
        };
        mine.retain(|summary| summary.params.get(name) == Some(&wanted));
    }
    // Of what is left open the first: the shallowest.
    let drivers: BTreeSet<&str> = mine.iter().map(|summary| summary.driver.as_str()).collect();
    let first = |driver: &str| mine.iter().find(|summary| summary.driver == driver).copied();
    let cells: Vec<_> = drivers.into_iter().filter_map(first).collect();
    (!cells.is_empty()).then_some(cells)
}

fn row<'a>(view: &View<'a>, question: &Question, drivers: &BTreeSet<&str>) -> Option<(Row, Vec<&'a Summary>)> {
    let cells = answers(view.summaries, question)?;
    let best = cells.iter().min_by(|a, b| a.median.total_cmp(&b.median)).copied()?;
    if cells.len() < 2 || best.median < 0.0 {
        return None;
    }
    let of = |driver: &&str| cells.iter().find(|summary| summary.driver == **driver);
    let row = Row {
        label: question.label.to_owned(),
        cells: drivers.iter().map(|driver| of(driver).map(|cell| held_against(cell, best))).collect(),
    };
    Some((row, cells))
}

fn held_against(cell: &Summary, best: &Summary) -> Cell {
    let floor = match cell.unit {
        Unit::Bytes => 4096.0,
        Unit::Count => 1.0,
        Unit::Seconds | Unit::Ratio => f64::MIN_POSITIVE,
    };
    let ratio = if cell.median == best.median { 1.0 } else { cell.median / best.median.max(floor) };
    Cell {
        ratio: ratio.max(1.0),
        text: quantity(cell.median, cell.unit),
        tied: cell.driver != best.driver && !cell.differs(best),
    }
}
