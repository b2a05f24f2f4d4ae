//! What every chart asks of a run.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    canvas::Frame,
    looks::{Look, Looks},
};
use crate::{Params, RunRecord, Sample, Summary};

/// A run, and what it comes to.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub record: &'a RunRecord,
    pub samples: &'a [Sample],
    pub summaries: &'a [Summary],
}

impl<'a> View<'a> {
    /// Of one workload.
    pub fn of(&self, workload: &str) -> Vec<&'a Summary> {
        self.summaries.iter().filter(|summary| summary.workload == workload).collect()
    }

    /// How each driver of the run is drawn, the same in all its charts.
    pub fn looks(&self) -> Looks<'a> {
        Looks::of(self.summaries.iter().map(|summary| summary.driver.as_str()))
    }

    /// Names and looks.
    pub fn legend(&self, drivers: &BTreeSet<&str>) -> Vec<(String, Look)> {
        let looks = self.looks();
        drivers.iter().map(|driver| ((*driver).to_owned(), looks.driver(driver))).collect()
    }

    /// Title and caption; `how` says what is drawn, `state` whether caches were warm.
    pub fn frame(&self, workload: &str, title: &str, subtitle: &str, how: &str, state: &str) -> Frame {
        let mine = self.of(workload);
        let drivers: BTreeSet<&str> = mine.iter().map(|summary| summary.driver.as_str()).collect();
        Frame {
            title: title.to_owned(),
            subtitle: subtitle.to_owned(),
            legend: self.legend(&drivers),
            caption: self.caption(&mine, &drivers, how, state),
        }
    }

    /// How and where it was measured.
    pub fn caption(&self, mine: &[&Summary], drivers: &BTreeSet<&str>, how: &str, state: &str) -> Vec<String> {
        let most = mine.iter().map(|summary| summary.n).max().unwrap_or(0);
        let n = match mine.iter().map(|summary| summary.n).min() {
            Some(least) if least != most => format!("{least} to {most}"),
            _ => most.to_string(),
        };
        let host = &self.record.host;
        let warmup = counted(self.record.warmup, "warm-up round");
        let memory = host.memory as f64 / 1e9;
        vec![
            format!("{how}; n = {n}, {warmup}, {}, {state}.", order(drivers)),
            format!(
                "{}; Linux {}, {} ({}, {memory:.0} GB); run {}.",
                self.testbeds(drivers),
                host.kernel,
                host.cpu,
                host.processors(),
                self.record.run
            ),
        ]
    }

    /// `ext4 on loop:ext4,size=8192M (overlay2, vfs), btrfs on ... (btrfs)`; a driver once, however many kernels it ran on.
    fn testbeds(&self, drivers: &BTreeSet<&str>) -> String {
        let mut beds: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for driver in drivers {
            let Some(about) = self.record.drivers.get(*driver) else { continue };
            let text = |name: &str| about.testbed.get(name).and_then(|value| value.as_str()).unwrap_or("?");
            beds.entry(format!("{} on {}", text("file_system"), text("testbed")))
                .or_default()
                .insert(on_kernel(driver).0);
        }
        match beds.len() {
            1 => beds.into_keys().next().unwrap_or_default(),
            _ => {
                let names = |drivers: BTreeSet<&str>| drivers.into_iter().collect::<Vec<_>>().join(", ");
                let beds = beds.into_iter().map(|(bed, drivers)| format!("{bed} ({})", names(drivers)));
                beds.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// A driver's name, and its kernel in a run on several: `overlay2@6.1` ([`merge`](crate::merge())).
pub fn on_kernel(driver: &str) -> (&str, Option<&str>) {
    driver.split_once('@').map_or((driver, None), |(name, kernel)| (name, Some(kernel)))
}

/// In which order it was measured. Kernels boot one after the other.
fn order(drivers: &BTreeSet<&str>) -> &'static str {
    let kernels: BTreeSet<_> = drivers.iter().filter_map(|driver| on_kernel(driver).1).collect();
    if kernels.len() > 1 { "kernels in turn, drivers interleaved" } else { "drivers interleaved" }
}

/// The drivers of these, in order.
pub fn drivers<'a>(summaries: &[&'a Summary]) -> BTreeSet<&'a str> {
    summaries.iter().map(|summary| summary.driver.as_str()).collect()
}

/// The values that a parameter has in these, numbers in their order.
pub fn values<'a>(summaries: &[&'a Summary], param: &str) -> Vec<&'a str> {
    let values: BTreeSet<&str> = summaries.iter().filter_map(|summary| summary.params.get(param)).collect();
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b)));
    values
}

/// `1 layer`, `3 layers`.
pub fn counted(number: u32, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A parameter as a number; what is none comes last.
pub fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::INFINITY)
}

/// A parameter of a cell as a number.
pub fn param(params: &Params, name: &str) -> Option<f64> {
    params.get(name)?.parse().ok()
}
