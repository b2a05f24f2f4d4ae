//! The charts of the workload `build`.

use std::collections::BTreeSet;

use super::{
    bars::{Bar, Bars, Group},
    colours,
};
use crate::{Kind, RunRecord, Sample, Summary, Unit};

const PHASES: [&str; 5] = ["prepare", "mount", "run", "diff", "commit"];

/// Names and charts.
pub fn charts(record: &RunRecord, samples: &[Sample], summaries: &[Summary]) -> Vec<(String, Bars)> {
    let mine: Vec<&Summary> = summaries.iter().filter(|summary| summary.workload == "build").collect();
    let dockerfiles: BTreeSet<&str> = mine.iter().filter_map(|summary| summary.params.get("dockerfile")).collect();
    if dockerfiles.is_empty() {
        return Vec::new();
    }
    let view = View { record, samples, summaries: mine };
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

struct View<'a> {
    record: &'a RunRecord,
    samples: &'a [Sample],
    summaries: Vec<&'a Summary>,
}

impl View<'_> {
    fn drivers(&self) -> BTreeSet<&str> {
        self.summaries.iter().map(|summary| summary.driver.as_str()).collect()
    }

    fn driver_legend(&self) -> Vec<(String, plotters::style::RGBColor)> {
        self.drivers().into_iter().map(|driver| (driver.to_owned(), colours::driver(driver))).collect()
    }

    /// Where it was measured, and how often.
    fn caption(&self, how: &str) -> Vec<String> {
        let n = self.summaries.iter().map(|summary| summary.n).max().unwrap_or(0);
        let host = &self.record.host;
        let testbed = self.record.drivers.values().next().map(|driver| {
            let text = |name: &str| driver.testbed.get(name).and_then(|value| value.as_str()).unwrap_or("?").to_owned();
            format!("{} on {}", text("file_system"), text("testbed"))
        });
        vec![
            format!(
                "{how}; n = {n} rounds after {} warm-up, drivers interleaved, no build cache, page cache warm.",
                self.record.warmup
            ),
            format!(
                "{}; Linux {}, {} ({} CPUs, {:.0} GB); run {}.",
                testbed.unwrap_or_default(),
                host.kernel,
                host.cpu,
                host.cpus,
                host.memory as f64 / 1e9,
                self.record.run
            ),
        ]
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
                            Some((found.median, colours::phase(phase)))
                        })
                        .collect(),
                    interval: None,
                    points: Vec::new(),
                })
                .collect(),
        };
        Bars {
            title: format!("Where the time of each instruction goes: {dockerfile}"),
            subtitle: "prepare the writable layer, mount it, run the instruction, write the layer tar, seal and record"
                .to_owned(),
            unit: Unit::Seconds,
            legend: PHASES.iter().map(|phase| ((*phase).to_owned(), colours::phase(phase))).collect(),
            groups: self.step_names(dockerfile).into_iter().map(group).collect(),
            caption: self.caption("Medians of each phase; the number is their sum"),
        }
    }

    fn counted(&self, dockerfile: &str, metric: &str, subtitle: &str) -> Option<Bars> {
        let group = |step: &str| Group {
            label: step.to_owned(),
            bars: self
                .drivers()
                .into_iter()
                .filter_map(|driver| {
                    let found = self.find(driver, dockerfile, Some(step), "total", metric)?;
                    Some(Bar {
                        driver: driver.to_owned(),
                        parts: vec![(found.median, colours::driver(driver))],
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
        Some(Bars {
            title: format!("Bytes of each instruction, {what}: {dockerfile}"),
            subtitle: subtitle.to_owned(),
            unit: Unit::Bytes,
            legend: self.driver_legend(),
            groups,
            caption: self.caption("Medians of exact counters; whiskers: 95 % bootstrap interval, where rounds differ"),
        })
    }

    fn comparison(&self, dockerfiles: &BTreeSet<&str>) -> Bars {
        let kinds = [("build", "build"), ("container", "run the image")];
        let mut groups = Vec::new();
        for dockerfile in dockerfiles {
            for (phase, label) in kinds {
                let bars = self.drivers().into_iter().filter_map(|driver| {
                    let found = self.find(driver, dockerfile, None, phase, "wall")?;
                    Some(Bar {
                        driver: driver.to_owned(),
                        parts: vec![(found.median, colours::driver(driver))],
                        interval: Some((found.ci_low, found.ci_high)),
                        points: self.points(driver, dockerfile, phase),
                    })
                });
                groups.push(Group { label: format!("{dockerfile}: {label}"), bars: bars.collect() });
            }
        }
        Bars {
            title: "Building and running an image on each driver".to_owned(),
            subtitle: "From the Dockerfile to the named image, and from the image to a container that has ended and is removed"
                .to_owned(),
            unit: Unit::Seconds,
            legend: self.driver_legend(),
            groups,
            caption: self.caption("Bars: medians; whiskers: 95 % bootstrap interval of the median; circles: single rounds"),
        }
    }

    fn points(&self, driver: &str, dockerfile: &str, phase: &str) -> Vec<f64> {
        let same = |sample: &&Sample| {
            sample.driver == driver
                && sample.workload == "build"
                && sample.params.get("dockerfile") == Some(dockerfile)
                && sample.params.get("step").is_none()
                && sample.phase == phase
                && sample.kind == Kind::Time
        };
        self.samples.iter().filter(same).map(|sample| sample.value).collect()
    }
}
