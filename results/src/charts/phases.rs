//! Where the time of a container's life goes.

use super::{
    bars::{Bar, Bars, Group},
    colours,
    view::{View, drivers, number, values},
};
use crate::{Summary, Unit};

const STEPS: [&str; 7] = ["create", "mount", "start", "exec", "exit", "unmount", "remove"];

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Bars)> {
    let mine: Vec<&Summary> = view
        .of("lifecycle")
        .into_iter()
        .filter(|summary| summary.metric == "wall" && summary.params.get("level") == Some("container"))
        .collect();
    let looks = view.looks();
    let group = |parallel: &&str| {
        let bar = |driver: &str| {
            let step = |step: &&str| {
                let found = mine.iter().find(|summary| {
                    summary.driver == driver
                        && summary.phase == *step
                        && summary.params.get("parallel") == Some(*parallel)
                })?;
                Some((found.median, looks.part(driver, colours::phase(step))))
            };
            let parts: Vec<_> = STEPS.iter().filter_map(step).collect();
            (!parts.is_empty()).then(|| Bar { driver: driver.to_owned(), parts, interval: None, points: Vec::new() })
        };
        let label = match number(parallel) {
            1.0 => "one after the other".to_owned(),
            count => format!("{count} at once"),
        };
        Group { label, bars: drivers(&mine).into_iter().filter_map(bar).collect() }
    };
    let groups: Vec<Group> =
        values(&mine, "parallel").iter().map(group).filter(|group| !group.bars.is_empty()).collect();
    if groups.is_empty() {
        return Vec::new();
    }
    let mut frame = view.frame(
        "lifecycle",
        "Where the time of a container's life goes",
        "Make its layer, mount it, start a program, run another one in it, kill it, unmount, remove",
        "Medians of each step; the number is their sum",
        "page cache warm",
    );
    frame.legend = STEPS.iter().map(|step| ((*step).to_owned(), colours::phase(step).into())).collect();
    vec![("lifecycle".to_owned(), Bars { frame, unit: Unit::Seconds, groups })]
}
