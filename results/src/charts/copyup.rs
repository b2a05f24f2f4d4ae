//! The first write to a file of the parent, against the file's size.

use super::{
    panels::{Axis, Of, Panel, Panels, Point, Series},
    view::{View, counted, drivers, param, values},
};
use crate::{Summary, Unit, derived::line, table::quantity};

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Panels)> {
    let first: Vec<&Summary> = view.of("copyup").into_iter().filter(|summary| summary.phase == "first").collect();
    if values(&first, "size").len() < 2 {
        return Vec::new();
    }
    let depth = values(&first, "depth").first().copied().unwrap_or_default().to_owned();
    let charts = [
        (
            "copyup-time",
            "wall",
            "First write to a file of the parent: time",
            "Seconds of the call itself, against the size of the file",
        ),
        (
            "copyup-device",
            "device_written_bytes",
            "First write to a file of the parent: bytes written",
            "Bytes written to the driver's own device, until everything was synced; the journal's are among them",
        ),
        (
            "copyup-space",
            "allocated_bytes",
            "First write to a file of the parent: space",
            "Bytes that the layer holds more afterwards; a line that rises with the size is a copy of the file",
        ),
    ];
    let has = |metric: &str| first.iter().any(|summary| summary.metric == metric);
    charts
        .into_iter()
        .filter(|(_, metric, ..)| has(metric))
        .map(|(name, metric, title, subtitle)| {
            (name.to_owned(), chart(view, &first, &depth, metric, (title, subtitle)))
        })
        .collect()
}

fn chart(view: &View<'_>, first: &[&Summary], depth: &str, metric: &str, (title, subtitle): (&str, &str)) -> Panels {
    let time = metric == "wall";
    let how = if time {
        "Medians; whiskers: 95 % bootstrap interval of the median; slope: time for each MiB of the file more"
    } else {
        "Medians of exact counters; slope: bytes for each byte of the file more"
    };
    let layers = depth.parse().map_or_else(|_| depth.to_owned(), |depth| counted(depth, "layer"));
    let mut frame = view.frame("copyup", title, subtitle, how, &format!("{layers} down, page cache warm"));
    for (name, _) in &mut frame.legend {
        if let Some((slope, _)) = line(&places(&points(first, name, "append", depth, metric))) {
            // Where few rounds make large files look quicker, that is no figure.
            if time && slope <= 0.0 {
                continue;
            }
            let slope = if time {
                format!("{} per MiB", quantity(slope * MIB, Unit::Seconds))
            } else {
                format!("slope {:.2}", slope + 0.0)
            };
            *name = format!("{name} (append: {slope})");
        }
    }
    let looks = view.looks();
    let panel = |operation: &&str| Panel {
        title: (*operation).to_owned(),
        of: None,
        series: drivers(first)
            .into_iter()
            .map(|driver| Series {
                name: driver.to_owned(),
                look: looks.driver(driver),
                points: points(first, driver, operation, depth, metric),
                steps: false,
            })
            .collect(),
    };
    let (name, unit) = if time { ("time", Unit::Seconds) } else { ("bytes", Unit::Bytes) };
    Panels {
        frame,
        x: Axis { name: "size of the file".to_owned(), log: true, of: Of::Size },
        y: Axis { name: name.to_owned(), log: true, of: Of::Quantity(unit) },
        panels: values(first, "op").iter().map(panel).collect(),
        apart: false,
        marks: Vec::new(),
    }
}

const MIB: f64 = 1_048_576.0;

fn places(points: &[Point]) -> Vec<(f64, f64)> {
    points.iter().map(|point| (point.x, point.y)).collect()
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
