//! The profile as people and programs read it.

use std::collections::BTreeMap;

use results::{Recorded, Summary, summarise};
use serde::Serialize;
use storage_driver::Bytes;

use super::{
    advice::advise,
    findings::{Findings, Step},
};
use crate::table;

/// What each instruction of a Dockerfile cost.
#[derive(Debug, Serialize)]
pub struct Profile {
    dockerfile: String,
    drivers: Vec<String>,
    /// Builds on each driver, of which the values are medians.
    runs: u32,
    steps: Vec<Row>,
    /// Bytes of the layers of the image that the Dockerfile made, and of them those that nobody sees.
    layer_bytes: u64,
    wasted_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Row {
    /// From 1, over all stages that were built.
    step: usize,
    instruction: String,
    /// Its layer is in the image; those of other stages are not.
    in_image: bool,
    layer_bytes: u64,
    wasted_bytes: u64,
    drivers: BTreeMap<String, Cost>,
    advice: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct Cost {
    seconds: f64,
    copied_up_files: u64,
    copied_up_bytes: u64,
    /// Where the testbed has a device of its own.
    device_written_bytes: Option<u64>,
}

impl Profile {
    pub fn new(dockerfile: String, found: &Findings, recorded: &Recorded) -> Self {
        let summaries = summarise(&recorded.samples);
        let drivers: Vec<String> = recorded.record.drivers.keys().cloned().collect();
        let row = |(index, step): (usize, &Step)| {
            let of_driver = |driver: &String| (driver.clone(), cost(&summaries, driver, &step.label));
            let wasted = step.layer.map_or(Bytes(0), |layer| found.layers[layer].wasted());
            Row {
                step: index + 1,
                instruction: step.instruction.clone(),
                in_image: step.layer.is_some(),
                layer_bytes: drivers
                    .first()
                    .and_then(|d| value(&summaries, d, &step.label, "layer_bytes"))
                    .unwrap_or(0),
                wasted_bytes: wasted.0,
                drivers: drivers.iter().map(of_driver).collect(),
                advice: advise(found, step),
            }
        };
        let steps: Vec<_> = found.steps.iter().enumerate().map(row).collect();
        let in_image = || steps.iter().filter(|row| row.in_image);
        Self {
            dockerfile,
            drivers: drivers.clone(),
            runs: recorded.record.rounds,
            layer_bytes: in_image().map(|row| row.layer_bytes).sum(),
            wasted_bytes: in_image().map(|row| row.wasted_bytes).sum(),
            steps,
        }
    }

    pub fn to_table(&self) -> String {
        let mut header = vec!["STEP".to_owned(), "INSTRUCTION".to_owned(), "LAYER".to_owned(), "WASTED".to_owned()];
        for driver in &self.drivers {
            header.push(driver.to_uppercase());
            header.push("COPIED UP".to_owned());
        }
        let header: Vec<_> = header.iter().map(String::as_str).collect();
        let rows: Vec<_> = self.steps.iter().map(|row| self.cells(row)).chain([self.totals()]).collect();
        let mut text = table::columns(&header, &rows);
        for row in self.steps.iter().filter(|row| !row.advice.is_empty()) {
            text += &format!("\nstep {}: {}\n", row.step, cut(&row.instruction, 100));
            row.advice.iter().for_each(|advice| text += &format!("  {advice}\n"));
        }
        text
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        // Another stage's layer is no waste of the image's.
        let wasted = if row.in_image { Bytes(row.wasted_bytes).to_string() } else { "-".to_owned() };
        let mut cells =
            vec![row.step.to_string(), cut(&row.instruction, 48), Bytes(row.layer_bytes).to_string(), wasted];
        for driver in &self.drivers {
            let Some(cost) = row.drivers.get(driver) else { continue };
            cells.extend(said(cost));
        }
        cells
    }

    fn totals(&self) -> Vec<String> {
        let mut cells = vec![
            String::new(),
            "all".to_owned(),
            Bytes(self.layer_bytes).to_string(),
            Bytes(self.wasted_bytes).to_string(),
        ];
        for driver in &self.drivers {
            let mut total = Cost::default();
            for cost in self.steps.iter().filter_map(|row| row.drivers.get(driver)) {
                total.seconds += cost.seconds;
                total.copied_up_files += cost.copied_up_files;
                total.copied_up_bytes += cost.copied_up_bytes;
            }
            cells.extend(said(&total));
        }
        cells
    }
}

/// Time, and what was copied up.
fn said(cost: &Cost) -> [String; 2] {
    let copied = match cost.copied_up_files {
        0 => "-".to_owned(),
        1 => format!("{} (1 file)", Bytes(cost.copied_up_bytes)),
        files => format!("{} ({files} files)", Bytes(cost.copied_up_bytes)),
    };
    [format!("{:.0} ms", cost.seconds * 1e3), copied]
}

fn cost(summaries: &[Summary], driver: &str, step: &str) -> Cost {
    let count = |metric| value(summaries, driver, step, metric);
    Cost {
        seconds: median(summaries, driver, step, "wall").unwrap_or(0.0),
        copied_up_files: count("copied_up_files").unwrap_or(0),
        copied_up_bytes: count("copied_up_bytes").unwrap_or(0),
        device_written_bytes: count("device_written_bytes"),
    }
}

fn value(summaries: &[Summary], driver: &str, step: &str, metric: &str) -> Option<u64> {
    median(summaries, driver, step, metric).map(|value| value as u64)
}

fn median(summaries: &[Summary], driver: &str, step: &str, metric: &str) -> Option<f64> {
    // Samples keep what separates parameters as a space.
    let step = results::Params::default().with("step", step);
    let same = |summary: &&Summary| {
        summary.driver == driver
            && summary.params.get("step") == step.get("step")
            && summary.phase == "total"
            && summary.metric == metric
    };
    summaries.iter().find(same).map(|summary| summary.median)
}

fn cut(text: &str, room: usize) -> String {
    match text.char_indices().nth(room) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
