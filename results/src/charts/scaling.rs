//! Cost against the number of layers below, and of containers alive or reading.

use super::{
    panels::{Axis, Of, Panel, Panels, Point, Series},
    view::{View, drivers, param},
};
use crate::{Params, Summary, Unit};

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Panels)> {
    let is_container = |params: &Params| params.get("level").is_none_or(|level| level == "container");
    let depth = Question {
        workload: "layers",
        param: "depth",
        axis: "layers below",
        title: "What depth costs",
        subtitle: "Making, mounting, opening, reading and removing a layer on a stack of so many",
        state: "page cache warm",
        cells: Cells::Times(is_container),
        apart: false,
    };
    let alive = Question {
        workload: "density",
        param: "alive",
        axis: "containers alive",
        title: "What one more container costs",
        subtitle: "From nothing to a running program, while so many others are alive",
        ..depth
    };
    let parallel = Question {
        workload: "lifecycle",
        param: "parallel",
        axis: "containers at once",
        title: "Containers that start at once",
        subtitle: "Each step of a container's life, while so many go through it together; each panel has its own axis",
        apart: true,
        ..depth
    };
    let read = Question {
        workload: "read",
        param: "containers",
        axis: "containers that read the same image at once",
        title: "What sharing the page cache saves",
        subtitle: "Bytes read from the device, and as multiples of the image",
        state: "page cache cold, sequential reads",
        cells: Cells::Cold(&["device_read_bytes", "device_read_factor", "page_cache_factor"]),
        apart: true,
    };
    let others = Question {
        workload: "peers",
        param: "others",
        axis: "other images, and as many stopped containers",
        title: "What a container costs in a full store",
        subtitle: "run --rm of `true`, a whole process; medians of n runs",
        ..depth
    };
    let charts = [("crowd", others), ("depth", depth), ("density", alive), ("parallel", parallel), ("sharing", read)];
    charts.into_iter().filter_map(|(name, question)| Some((name.to_owned(), question.chart(view)?))).collect()
}

#[derive(Clone, Copy)]
struct Question {
    workload: &'static str,
    param: &'static str,
    axis: &'static str,
    title: &'static str,
    subtitle: &'static str,
    state: &'static str,
    cells: Cells,
    /// Each panel has axes of its own.
    apart: bool,
}

/// Which cells the panels show.
#[derive(Clone, Copy)]
enum Cells {
    /// The time of each phase, a panel a phase.
    Times(fn(&Params) -> bool),
    /// These metrics of cold sequential reads, a panel a metric.
    Cold(&'static [&'static str]),
}

impl Cells {
    fn has(self, summary: &Summary) -> bool {
        match self {
            Self::Times(fits) => summary.metric == "wall" && summary.phase != "all" && fits(&summary.params),
            Self::Cold(metrics) => {
                let is = |name, value| summary.params.get(name).is_none_or(|its| its == value);
                metrics.contains(&&*summary.metric) && is("cache", "cold") && is("pattern", "sequential")
            }
        }
    }

    /// Of the panel that it is in.
    fn title(self, summary: &Summary) -> &str {
        match self {
            Self::Times(_) => &summary.phase,
            Self::Cold(_) => &summary.metric,
        }
    }
}

impl Question {
    fn chart(&self, view: &View<'_>) -> Option<Panels> {
        let mine: Vec<&Summary> = view
            .of(self.workload)
            .into_iter()
            .filter(|summary| self.cells.has(summary) && param(&summary.params, self.param).is_some())
            .collect();
        let mut titles: Vec<&str> = Vec::new();
        for summary in &mine {
            let title = self.cells.title(summary);
            let several = mine.iter().any(|other| {
                self.cells.title(other) == title
                    && param(&other.params, self.param) != param(&summary.params, self.param)
            });
            if several && !titles.contains(&title) {
                titles.push(title);
            }
        }
        if let Cells::Cold(order) = self.cells {
            titles.sort_by_key(|title| order.iter().position(|metric| metric == title));
        }
        if titles.is_empty() {
            return None;
        }
        let looks = view.looks();
        let panel = |title: &&str| Panel {
            title: title.replace('_', " "),
            of: mine.iter().find(|s| self.cells.title(s) == *title).map(|summary| Of::Quantity(summary.unit)),
            series: drivers(&mine)
                .into_iter()
                .map(|driver| Series {
                    name: driver.to_owned(),
                    look: looks.driver(driver),
                    points: self.points(&mine, driver, title),
                    steps: false,
                })
                .collect(),
        };
        let times = matches!(self.cells, Cells::Times(_));
        Some(Panels {
            frame: view.frame(
                self.workload,
                self.title,
                self.subtitle,
                "Medians; whiskers: 95 % bootstrap interval of the median",
                self.state,
            ),
            x: Axis { name: self.axis.to_owned(), log: true, of: Of::Quantity(Unit::Count) },
            // Amounts are held against zero.
            y: Axis { name: "cost".to_owned(), log: times, of: Of::Quantity(Unit::Seconds) },
            panels: titles.iter().map(panel).collect(),
            apart: self.apart,
            marks: Vec::new(),
        })
    }

    fn points(&self, mine: &[&Summary], driver: &str, title: &str) -> Vec<Point> {
        let mut points: Vec<Point> = mine
            .iter()
            .filter(|summary| summary.driver == driver && self.cells.title(summary) == title)
            .filter_map(|summary| {
                let interval = Some((summary.ci_low, summary.ci_high));
                Some(Point { x: param(&summary.params, self.param)?, y: summary.median, interval })
            })
            .collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        points.dedup_by(|a, b| a.x == b.x);
        points
    }
}
