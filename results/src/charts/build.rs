//! The charts of the workload `build`.

use std::collections::BTreeSet;

use super::{
    bars::{Bar, Bars, Group},
    canvas::Frame,
    colours,
    view::{self, View},
};
use crate::{Sample, Summary, Unit};

const PHASES: [&str; 5] = ["prepare", "mount", "run", "diff", "commit"];

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Bars)> {
    let mine = view.of("build");
    let dockerfiles: BTreeSet<&str> = mine.iter().filter_map(|summary| summary.params.get("dockerfile")).collect();
    if dockerfiles.is_empty() {
        return Vec::new();
    }
    let view = Builds { view: *view, summaries: mine };
    let mut charts = vec![("comparison".to_owned(), view.comparison(&dockerfiles))];
    for dockerfile in dockerfiles {
        charts.push((format!("steps-{}", file_name(dockerfile)), view.steps(dockerfile)));
        let counted = [
            ("copied-up", "copied_up_bytes", "Bytes that the driver copied from the layers below"),
            (
                "device-written",
                "device_written_bytes",
                "Bytes written to the driver's own device, until everything was synced",
            ),
            (
                "wasted",
                "wasted_bytes",
                "Bytes of the layer that a later layer overwrites or deletes: shipped, and never seen",
            ),
            ("layer", "layer_bytes", "Bytes of the layer tar that the instruction made"),
        ];
        for (name, metric, subtitle) in counted {
            let chart = view.counted(dockerfile, metric, subtitle);
            charts.extend(chart.map(|chart| (format!("{name}-{}", file_name(dockerfile)), chart)));
        }
    }
    charts
}

fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

struct Builds<'a> {
    view: View<'a>,
    summaries: Vec<&'a Summary>,
}

impl Builds<'_> {
    fn drivers(&self) -> BTreeSet<&str> {
        view::drivers(&self.summaries)
    }

    fn frame(&self, title: &str, subtitle: &str, how: &str) -> Frame {
        self.view.frame("build", title, subtitle, how, "no build cache, page cache warm")
    }

    fn find(&self, driver: &str, dockerfile: &str, step: Option<&str>, phase: &str, metric: &str) -> Option<&Summary> {
        let same = |summary: &&&Summary| {
            summary.driver == driver
                && summary.params.get("dockerfile") == Some(dockerfile)
                && summary.params.get("step") == step
                && summary.phase == phase
                && summary.metric == metric
        };
        self.summaries.iter().find(same).copied()
    }

    /// `03 RUN make`, in order.
    fn step_names(&self, dockerfile: &str) -> BTreeSet<&str> {
        let of_file = self.summaries.iter().filter(|summary| summary.params.get("dockerfile") == Some(dockerfile));
        of_file.filter_map(|summary| summary.params.get("step")).collect()
    }

    fn steps(&self, dockerfile: &str) -> Bars {
        let looks = self.view.looks();
        let group = |step: &str| Group {
            label: step.to_owned(),
            bars: self
                .drivers()
                .into_iter()
                .map(|driver| Bar {
                    driver: driver.to_owned(),
                    parts: PHASES
                        .iter()
                        .filter_map(|phase| {
                            let found = self.find(driver, dockerfile, Some(step), phase, "wall")?;
                            Some((found.median, looks.part(driver, colours::phase(phase))))
                        })
                        .collect(),
                    interval: None,
                    points: Vec::new(),
                })
                .collect(),
        };
        let mut frame = self.frame(
            &format!("Where the time of each instruction goes: {dockerfile}"),
            "prepare the writable layer, mount it, run the instruction, write the layer tar, seal and record",
            "Medians of each phase; the number is their sum",
        );
        frame.legend = PHASES.iter().map(|phase| ((*phase).to_owned(), colours::phase(phase).into())).collect();
        let groups = self.step_names(dockerfile).into_iter().map(group).collect();
        Bars { frame, unit: Unit::Seconds, groups }
    }

    fn counted(&self, dockerfile: &str, metric: &str, subtitle: &str) -> Option<Bars> {
        let looks = self.view.looks();
        let group = |step: &str| Group {
            label: step.to_owned(),
            bars: self
                .drivers()
                .into_iter()
                .filter_map(|driver| {
                    let found = self.find(driver, dockerfile, Some(step), "total", metric)?;
                    Some(Bar {
                        driver: driver.to_owned(),
                        parts: vec![(found.median, looks.driver(driver))],
                        interval: Some((found.ci_low, found.ci_high)),
                        points: Vec::new(),
                    })
                })
                .collect(),
        };
        let groups: Vec<_> =
            self.step_names(dockerfile).into_iter().map(group).filter(|g| !g.bars.is_empty()).collect();
        if groups.iter().flat_map(|group| &group.bars).all(|bar| bar.parts.iter().all(|(value, _)| *value == 0.0)) {
            return None;
        }
        let what = metric.trim_end_matches("_bytes").replace('_', " ");
        let frame = self.frame(
            &format!("Bytes of each instruction, {what}: {dockerfile}"),
            subtitle,
            "Medians of exact counters; whiskers: 95 % bootstrap interval, where rounds differ",
        );
        Some(Bars { frame, unit: Unit::Bytes, groups })
    }

    fn comparison(&self, dockerfiles: &BTreeSet<&str>) -> Bars {
        let looks = self.view.looks();
        let kinds = [("build", "build"), ("container", "run the image")];
        let mut groups = Vec::new();
        for dockerfile in dockerfiles {
            for (phase, label) in kinds {
                let bars = self.drivers().into_iter().filter_map(|driver| {
                    let found = self.find(driver, dockerfile, None, phase, "wall")?;
                    Some(Bar {
                        driver: driver.to_owned(),
                        parts: vec![(found.median, looks.driver(driver))],
                        interval: Some((found.ci_low, found.ci_high)),
                        points: self.points(driver, dockerfile, phase),
                    })
                });
                groups.push(Group { label: format!("{dockerfile}: {label}"), bars: bars.collect() });
            }
        }
        let frame = self.frame(
            "Building and running an image on each driver",
            "From the Dockerfile to the named image, and from the image to a container that has ended and is removed",
            "Bars: medians; whiskers: 95 % interval of the median; dots: single rounds, hollow: outliers (beyond 5 MAD)",
        );
        Bars { frame, unit: Unit::Seconds, groups }
    }

    fn points(&self, driver: &str, dockerfile: &str, phase: &str) -> Vec<f64> {
        let same = |sample: &&Sample| {
            sample.driver == driver
                && sample.workload == "build"
                && sample.params.get("dockerfile") == Some(dockerfile)
                && sample.params.get("step").is_none()
                && sample.phase == phase
                && sample.metric == "wall"
        };
        self.view.samples.iter().filter(same).map(|sample| sample.value).collect()
    }
}
