//! Time against the number of layers below, and of containers alive.

use super::{
    colours,
    panels::{Axis, Of, Panel, Panels, Point, Series},
    view::{View, drivers, param},
};
use crate::{Summary, Unit};

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Panels)> {
    let depth = Question {
        workload: "layers",
        param: "depth",
        axis: "layers below",
        title: "What depth costs",
        subtitle: "Making, mounting, opening, reading and removing a layer on a stack of so many",
    };
    let alive = Question {
        workload: "density",
        param: "alive",
        axis: "containers alive",
        title: "What one more container costs",
        subtitle: "From nothing to a running program, while so many others are alive",
    };
    let parallel = Question {
        workload: "lifecycle",
        param: "parallel",
        axis: "containers at once",
        title: "Containers that start at once",
        subtitle: "Each step of a container's life, while so many go through it together",
    };
    let charts = [("depth", depth), ("density", alive), ("parallel", parallel)];
    charts.into_iter().filter_map(|(name, question)| Some((name.to_owned(), question.chart(view)?))).collect()
}

struct Question {
    workload: &'static str,
    param: &'static str,
    axis: &'static str,
    title: &'static str,
    subtitle: &'static str,
}

impl Question {
    fn chart(&self, view: &View<'_>) -> Option<Panels> {
        let mine: Vec<&Summary> = view
            .of(self.workload)
            .into_iter()
            .filter(|summary| summary.metric == "wall" && summary.phase != "all")
            .filter(|summary| param(&summary.params, self.param).is_some())
            .filter(|summary| summary.params.get("level").is_none_or(|level| level == "container"))
            .collect();
        let mut phases: Vec<&str> = Vec::new();
        for summary in &mine {
            let several = mine.iter().any(|other| {
                other.phase == summary.phase && param(&other.params, self.param) != param(&summary.params, self.param)
            });
            if several && !phases.contains(&summary.phase.as_str()) {
                phases.push(&summary.phase);
            }
        }
        if phases.is_empty() {
            return None;
        }
        let panel = |phase: &&str| Panel {
            title: (*phase).to_owned(),
            series: drivers(&mine)
                .into_iter()
                .map(|driver| Series {
                    name: driver.to_owned(),
                    colour: colours::driver(driver),
                    points: self.points(&mine, driver, phase),
                    steps: false,
                })
                .collect(),
        };
        Some(Panels {
            frame: view.frame(
                self.workload,
                self.title,
                self.subtitle,
                "Medians; whiskers: 95 % bootstrap interval of the median",
                "page cache warm",
            ),
            x: Axis { name: self.axis.to_owned(), log: true, of: Of::Quantity(Unit::Count) },
            y: Axis { name: "time".to_owned(), log: true, of: Of::Quantity(Unit::Seconds) },
            panels: phases.iter().map(panel).collect(),
        })
    }

    fn points(&self, mine: &[&Summary], driver: &str, phase: &str) -> Vec<Point> {
        let mut points: Vec<Point> = mine
            .iter()
            .filter(|summary| summary.driver == driver && summary.phase == phase)
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
