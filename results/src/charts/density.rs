//! What containers that are alive hold of the machine.

use super::{
    bars::{Bar, Bars, Group},
    looks::Looks,
    view::{View, drivers, param},
};
use crate::{Summary, Unit};

/// Of all of them together, by their number.
const HELD: [(&str, &str); 3] = [
    ("memory_taken_bytes", "memory that is not available any more"),
    ("memory_cgroup_bytes", "memory by its cgroup"),
    ("disk_bytes", "bytes on the testbed"),
];

/// Of each further one: without what the first one needs for all.
const ONE_MORE: [(&str, &str); 2] = [
    ("memory_taken_slope", "one more: memory not available"),
    ("memory_cgroup_slope", "one more: memory by its cgroup"),
];

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Bars)> {
    let all = view.of("density");
    let mine: Vec<&Summary> = all.iter().copied().filter(|summary| summary.phase == "alive").collect();
    let looks = view.looks();
    let group = |from: &[&Summary], (metric, label): (&str, &str)| Group {
        label: label.to_owned(),
        bars: from
            .iter()
            .filter(|summary| summary.metric == metric)
            .filter_map(|summary| bar(summary, &looks))
            .collect(),
    };
    let held = HELD.map(|what| group(&mine, what));
    let one_more = ONE_MORE.map(|what| group(&all, what));
    let groups: Vec<Group> = held.into_iter().chain(one_more).filter(|group| !group.bars.is_empty()).collect();
    if groups.is_empty() {
        return Vec::new();
    }
    let how = "Medians of what all of them hold, by their number; one more: slope over their number; whiskers: 95 % bootstrap \
               interval of the median";
    let drivers = drivers(&mine);
    let mut caption = view.caption(&mine, &drivers, how, "page cache warm");
    caption.insert(0, mounts(&mine));
    let frame = super::canvas::Frame {
        title: "What one container holds that is alive".to_owned(),
        subtitle: "Memory and disk of many containers, for each of them".to_owned(),
        legend: view.legend(&drivers),
        caption,
    };
    vec![("held".to_owned(), Bars { frame, unit: Unit::Bytes, groups })]
}

fn bar(summary: &Summary, looks: &Looks<'_>) -> Option<Bar> {
    let is_slope = summary.metric.ends_with("_slope");
    let containers =
        if is_slope { 1.0 } else { param(&summary.params, "containers").filter(|containers| *containers > 0.0)? };
    // What something else on the machine gave back meanwhile can be more than they took.
    let each = |value: f64| value.max(0.0) / containers;
    Some(Bar {
        driver: summary.driver.clone(),
        parts: vec![(each(summary.median), looks.driver(&summary.driver))],
        interval: Some((each(summary.ci_low), each(summary.ci_high))),
        points: Vec::new(),
    })
}

/// `64 containers; mounts: 64 of overlay2, 64 of vfs.`
fn mounts(mine: &[&Summary]) -> String {
    let mounts = mine.iter().filter(|summary| summary.metric == "mounts");
    let each: Vec<_> = mounts.map(|summary| format!("{:.0} of {}", summary.median, summary.driver)).collect();
    let containers = mine.first().and_then(|summary| summary.params.get("containers")).unwrap_or("?");
    format!("{containers} containers; mounts while they are alive: {}.", each.join(", "))
}
