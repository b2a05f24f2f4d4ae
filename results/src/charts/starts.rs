//! How long containers took to start, all of them: the tail is what users feel.

use super::{
    panels::{Axis, Of, Panel, Panels, Point, Series},
    view::{View, drivers, number, values},
};
use crate::{Sample, Summary, Unit};

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Panels)> {
    let mine: Vec<&Summary> = view
        .of("lifecycle")
        .into_iter()
        .filter(|summary| summary.metric == "wall" && summary.phase == "start")
        .collect();
    let looks = view.looks();
    let panel = |parallel: &&str| Panel {
        of: None,
        title: match number(parallel) {
            1.0 => "one after the other".to_owned(),
            count => format!("{count} at once"),
        },
        series: drivers(&mine)
            .into_iter()
            .map(|driver| Series {
                name: driver.to_owned(),
                look: looks.driver(driver),
                points: distribution(view.samples, driver, parallel),
                steps: true,
            })
            .collect(),
    };
    let panels: Vec<Panel> = values(&mine, "parallel").iter().map(panel).collect();
    if panels.is_empty() {
        return Vec::new();
    }
    let chart = Panels {
        frame: view.frame(
            "lifecycle",
            "How long containers take to start",
            "Share of all starts that took at most so long",
            "Every start that was measured; discs: half of them, and 99 %, within; each panel has its own axis",
            "page cache warm",
        ),
        x: Axis {
            name: "from the mounted layer to the running program".to_owned(),
            log: false,
            of: Of::Quantity(Unit::Seconds),
        },
        y: Axis { name: "share".to_owned(), log: false, of: Of::Share },
        panels,
        apart: true,
        marks: Vec::new(),
    };
    vec![("starts".to_owned(), chart)]
}

fn distribution(samples: &[Sample], driver: &str, parallel: &str) -> Vec<Point> {
    let same = |sample: &&Sample| {
        sample.workload == "lifecycle"
            && sample.driver == driver
            && sample.phase == "start"
            && sample.metric == "wall"
            && sample.params.get("parallel") == Some(parallel)
    };
    let mut times: Vec<f64> = samples.iter().filter(same).map(|sample| sample.value).collect();
    times.sort_by(f64::total_cmp);
    let n = times.len() as f64;
    let zero = times.first().map(|first| Point { x: *first, y: 0.0, interval: None });
    let rest =
        times.iter().enumerate().map(|(index, time)| Point { x: *time, y: (index + 1) as f64 / n, interval: None });
    zero.into_iter().chain(rest).collect()
}
