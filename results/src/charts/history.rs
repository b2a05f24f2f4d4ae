//! One cell over many runs.

use super::{
    canvas::{Frame, svg},
    colours,
    panels::{Axis, Of, Panel, Panels, Point, Series},
};
use crate::{Unit, compare::CellId};

/// What one run had there.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Which run, counted from 1 in the order of their starts.
    pub run: u32,
    /// The driver's column.
    pub driver: String,
    /// Median.
    pub median: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
}

/// The same cell in many runs, a line a driver, as SVG; `None` where there is nothing to draw.
#[must_use]
pub fn history(cell: &CellId, moments: &[Moment]) -> Option<String> {
    let mut series: Vec<Series> = Vec::new();
    for moment in moments {
        let point = Point { x: f64::from(moment.run), y: moment.median, interval: Some(moment.interval) };
        match series.iter_mut().find(|series| series.name == moment.driver) {
            Some(series) => series.points.push(point),
            None => series.push(Series {
                name: moment.driver.clone(),
                colour: colours::driver(&moment.driver),
                points: vec![point],
                steps: false,
            }),
        }
    }
    series.iter().any(|series| series.points.len() > 1).then_some(())?;
    let legend = series.iter().map(|series| (series.name.clone(), series.colour)).collect();
    let case = cell.params.to_string().replace(';', ", ");
    let chart = Panels {
        frame: Frame {
            title: format!("{} {} {}", cell.workload, cell.phase, cell.metric),
            subtitle: case.clone(),
            legend,
            caption: vec!["Medians of each run; whiskers: 95 % bootstrap interval of the median.".to_owned()],
        },
        x: Axis { name: "run".to_owned(), log: false, of: Of::Quantity(Unit::Count) },
        y: Axis { name: cell.metric.clone(), log: false, of: Of::Quantity(cell.unit) },
        panels: vec![Panel { title: String::new(), series }],
    };
    svg(&chart).ok()
}
