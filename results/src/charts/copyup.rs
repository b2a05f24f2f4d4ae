//! The first write to a file of the parent, against the file's size.

use super::{
    colours,
    panels::{Axis, Of, Panel, Panels, Point, Series},
    view::{View, drivers, param, values},
};
use crate::{Summary, Unit};

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Panels)> {
    let first: Vec<&Summary> = view.of("copyup").into_iter().filter(|summary| summary.phase == "first").collect();
    if values(&first, "size").len() < 2 {
        return Vec::new();
    }
    let depth = values(&first, "depth").first().copied().unwrap_or_default().to_owned();
    let latency = chart(
        view,
        &first,
        &depth,
        "wall",
        ("First write to a file of the parent: time", "Seconds of the call itself, against the size of the file"),
    );
    let bytes = chart(
        view,
        &first,
        &depth,
        "allocated_bytes",
        (
            "First write to a file of the parent: space",
            "Bytes that the layer holds more afterwards; a line that rises with the size is a copy of the file",
        ),
    );
    [("copyup-time", latency), ("copyup-space", bytes)].map(|(name, chart)| (name.to_owned(), chart)).into()
}

fn chart(view: &View<'_>, first: &[&Summary], depth: &str, metric: &str, (title, subtitle): (&str, &str)) -> Panels {
    let time = metric == "wall";
    let how = if time {
        "Medians; whiskers: 95 % bootstrap interval of the median".to_owned()
    } else {
        "Medians of exact counters; slope: bytes taken for a byte of the file".to_owned()
    };
    let state = format!("{depth} layer(s) down, page cache warm");
    let mut frame = view.frame("copyup", title, subtitle, &how, &state);
    if !time {
        for (name, _) in &mut frame.legend {
            if let Some(slope) = slope(view, name) {
                *name = format!("{name} (append: slope {slope:.2})");
            }
        }
    }
    let panel = |operation: &&str| Panel {
        title: (*operation).to_owned(),
        series: drivers(first)
            .into_iter()
            .map(|driver| Series {
                name: driver.to_owned(),
                colour: colours::driver(driver),
                points: points(first, driver, operation, depth, metric),
                steps: false,
            })
            .collect(),
    };
    Panels {
        frame,
        x: Axis { name: "size of the file".to_owned(), log: true, of: Of::Size },
        y: if time {
            Axis { name: "time".to_owned(), log: true, of: Of::Quantity(Unit::Seconds) }
        } else {
            Axis { name: "space".to_owned(), log: true, of: Of::Quantity(Unit::Bytes) }
        },
        panels: values(first, "op").iter().map(panel).collect(),
    }
}

fn points(first: &[&Summary], driver: &str, operation: &str, depth: &str, metric: &str) -> Vec<Point> {
    let mine = first.iter().filter(|summary| {
        summary.driver == driver
            && summary.metric == metric
            && summary.params.get("op") == Some(operation)
            && summary.params.get("depth") == Some(depth)
    });
    let point = |summary: &&&Summary| {
        let interval = Some((summary.ci_low, summary.ci_high));
        Some(Point { x: param(&summary.params, "size")?, y: summary.median, interval })
    };
    let mut points: Vec<_> = mine.filter_map(|summary| point(&summary)).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

fn slope(view: &View<'_>, driver: &str) -> Option<f64> {
    let of = |summary: &&Summary| {
        summary.workload == "copyup"
            && summary.driver == driver
            && summary.metric == "allocated_slope"
            && summary.params.get("op") == Some("append")
    };
    view.summaries.iter().find(of).map(|summary| summary.median)
}
