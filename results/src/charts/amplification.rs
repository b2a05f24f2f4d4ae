//! What the device writes, and the driver allocates, for each byte of a layer's content.

use super::{
    bars::{Bar, Bars, Group},
    looks::Looks,
    view::{View, drivers},
};
use crate::Summary;

/// Steps of `build` are charts of their own. One byte that changed in a large tree is amplified by whatever is written at all, which
/// says nothing but squeezes all other bars.
fn shown(summary: &Summary) -> bool {
    summary.params.get("step").is_none() && summary.params.get("case") != Some("one-in-large")
}

/// Names and charts.
pub fn charts(view: &View<'_>) -> Vec<(String, Bars)> {
    let kinds = [
        (
            "write_amplification",
            "write-amplification",
            "Write amplification",
            "Bytes written to the driver's own device, until everything was synced, for each byte of the layer's content",
        ),
        (
            "space_amplification",
            "space-amplification",
            "Space amplification",
            "Bytes that the driver allocated for each byte of the layer's content",
        ),
        (
            "metadata_amplification",
            "metadata-amplification",
            "Metadata amplification",
            "Bytes written to the driver's own device, until everything was synced, for each inode changed",
        ),
    ];
    let chart = |(metric, name, title, subtitle): (&str, &str, &str, &str)| {
        let mine: Vec<&Summary> =
            view.summaries.iter().filter(|summary| summary.metric == metric && shown(summary)).collect();
        let unit = mine.first()?.unit;
        let groups = groups(&mine, &view.looks());
        let how = "Medians of exact counters; whiskers: 95 % bootstrap interval, where rounds differ";
        let drivers = drivers(&mine);
        let frame = super::canvas::Frame {
            title: title.to_owned(),
            subtitle: subtitle.to_owned(),
            legend: view.legend(&drivers),
            caption: view.caption(&mine, &drivers, how, "page cache warm"),
        };
        Some((name.to_owned(), Bars { frame, unit, groups }))
    };
    kinds.into_iter().filter_map(chart).collect()
}

fn groups(mine: &[&Summary], looks: &Looks<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for summary in mine {
        let case = summary.params.to_string().replace(';', ", ");
        let label = format!("{} {case} {}", summary.workload, summary.phase).replace("  ", " ");
        let bar = Bar {
            driver: summary.driver.clone(),
            parts: vec![(summary.median, looks.driver(&summary.driver))],
            interval: Some((summary.ci_low, summary.ci_high)),
            points: Vec::new(),
        };
        match groups.iter_mut().find(|group| group.label == label) {
            Some(group) => group.bars.push(bar),
            None => groups.push(Group { label, bars: vec![bar] }),
        }
    }
    // What writes nothing has none.
    groups.retain(|group| group.bars.iter().any(|bar| bar.parts.iter().any(|(value, _)| *value > 0.0)));
    groups
}
