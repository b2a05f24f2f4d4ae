//! Lines in small panels with the same axes: one panel a case, one line a driver.

use plotters::style::{RGBColor, text_anchor::HPos};

use super::{
    canvas::{Canvas, Chart, Drawn, Frame, MARGIN, TOP, WIDTH, binary, faint, fitting, font, short},
    colours,
};
use crate::{Unit, table::quantity};

/// A chart, before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Panels {
    pub frame: Frame,
    pub x: Axis,
    pub y: Axis,
    pub panels: Vec<Panel>,
}

/// One direction, for all panels.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub name: String,
    pub log: bool,
    pub of: Of,
}

/// What the numbers of an axis are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Of {
    Quantity(Unit),
    /// Bytes of a file, in binary units.
    Size,
    /// A share of all, in percent.
    Share,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    pub title: String,
    pub series: Vec<Series>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub colour: RGBColor,
    /// By `x`.
    pub points: Vec<Point>,
    /// From point to point in steps, without marks: a distribution.
    pub steps: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub interval: Option<(f64, f64)>,
}

const HEIGHT: i32 = 270;
const GAP: i32 = 18;
/// Room inside a panel for its title and the labels of its axes.
const LEFT: i32 = 74;
const ABOVE: i32 = 28;
const BELOW: i32 = 46;

impl Of {
    fn label(self, value: f64) -> String {
        match self {
            Self::Quantity(_) if value == 0.0 => "0".to_owned(),
            Self::Quantity(unit) => short(value, unit),
            Self::Size => binary(value),
            Self::Share => format!("{:.0} %", 100.0 * value),
        }
    }

    fn said(self, value: f64) -> String {
        match self {
            Self::Quantity(unit) => quantity(value, unit),
            _ => self.label(value),
        }
    }
}

/// An axis with its ends.
#[derive(Debug, Clone)]
struct Range {
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<f64>,
}

impl Range {
    /// Round ends and ticks around these values.
    fn around(values: impl Iterator<Item = f64> + Clone, log: bool) -> Self {
        let high = values.clone().fold(0.0, f64::max);
        let least = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if high <= 0.0 {
            return Self { low: 0.0, high: 1.0, log: false, ticks: vec![0.0, 1.0] };
        }
        if log {
            let (from, to) = (least.log10().floor(), high.log10().ceil().max(least.log10().floor() + 1.0));
            let step = ((to - from) / 6.0).ceil().max(1.0);
            let ticks = (0..).map(|i| from + f64::from(i) * step).take_while(|power| *power <= to + 0.1);
            return Self {
                low: 10f64.powf(from),
                high: 10f64.powf(to),
                log,
                ticks: ticks.map(|p| 10f64.powf(p)).collect(),
            };
        }
        let rough = high / 4.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|factor| factor * magnitude);
        let step = steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * magnitude);
        let count = (high / step * 0.999).ceil();
        let ticks = (0..=count as u32).map(|index| f64::from(index) * step).collect();
        Self { low: 0.0, high: count * step, log, ticks }
    }

    /// Ticks at the very values, as many as there is room for.
    fn at(mut values: Vec<f64>, log: bool, room: usize) -> Self {
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (low, high) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(1.0));
        let log = log && low > 0.0;
        let every = values.len().div_ceil(room).max(1);
        let ticks = values.iter().copied().step_by(every).collect();
        if low < high { Self { low, high, log, ticks } } else { Self { low: low * 0.5, high: low * 2.0, log, ticks } }
    }

    fn place(&self, value: f64) -> f64 {
        let fraction = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        fraction.clamp(0.0, 1.0)
    }
}

/// Where one panel is.
#[derive(Debug, Clone, Copy)]
struct Place {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Place {
    fn x(&self, fraction: f64) -> i32 {
        self.left + (fraction * f64::from(self.right - self.left)).round() as i32
    }

    fn y(&self, fraction: f64) -> i32 {
        self.bottom - (fraction * f64::from(self.bottom - self.top)).round() as i32
    }
}

impl Chart for Panels {
    fn title(&self) -> &str {
        &self.frame.title
    }

    fn height(&self) -> i32 {
        TOP + self.rows() * (HEIGHT + GAP) + self.frame.caption_height()
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        self.frame.draw(canvas, TOP + self.rows() * (HEIGHT + GAP))?;
        let points = || self.panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
        let ys: Vec<f64> = points()
            .flat_map(|point| {
                let (low, high) = point.interval.unwrap_or((point.y, point.y));
                [point.y, low, high]
            })
            .collect();
        let y = match self.y.of {
            Of::Share => Range { low: 0.0, high: 1.0, log: false, ticks: vec![0.0, 0.25, 0.5, 0.75, 1.0] },
            _ => Range::around(ys.iter().copied(), self.y.log),
        };
        let steps =
            points().count() > 0 && self.panels.iter().flat_map(|panel| &panel.series).all(|series| series.steps);
        let x = if steps {
            let xs: Vec<f64> = points().map(|point| point.x).collect();
            Range::around(xs.iter().copied(), self.x.log)
        } else {
            Range::at(points().map(|point| point.x).collect(), self.x.log, self.ticks())
        };
        self.panels
            .iter()
            .zip(0..)
            .try_for_each(|(panel, index)| self.draw_panel(canvas, panel, self.place(index), &x, &y))
    }
}

impl Panels {
    fn columns(&self) -> i32 {
        match self.panels.len() {
            0 | 1 => 1,
            2 | 4 => 2,
            _ => 3,
        }
    }

    fn rows(&self) -> i32 {
        (self.panels.len() as i32 + self.columns() - 1) / self.columns()
    }

    fn ticks(&self) -> usize {
        [12, 8, 5][self.columns() as usize - 1]
    }

    fn place(&self, index: i32) -> Place {
        let width = (WIDTH - 2 * MARGIN - (self.columns() - 1) * GAP) / self.columns();
        let (column, row) = (index % self.columns(), index / self.columns());
        let (left, top) = (MARGIN + column * (width + GAP), TOP + row * (HEIGHT + GAP));
        Place { left: left + LEFT, right: left + width - 14, top: top + ABOVE, bottom: top + HEIGHT - BELOW }
    }

    fn draw_panel(&self, canvas: &Canvas<'_>, panel: &Panel, at: Place, x: &Range, y: &Range) -> Drawn {
        let room = at.right - at.left + LEFT;
        canvas.text(
            &fitting(&panel.title, room, 14),
            at.left - LEFT + 2,
            at.top - ABOVE + 4,
            &font(14, true),
            HPos::Left,
        )?;
        for tick in &y.ticks {
            let place = at.y(y.place(*tick));
            canvas.line(vec![(at.left, place), (at.right, place)], colours::GRID, 1)?;
            canvas.text(&self.y.of.label(*tick), at.left - 7, place - 7, &faint(11), HPos::Right)?;
        }
        for tick in &x.ticks {
            let place = at.x(x.place(*tick));
            canvas.line(vec![(place, at.bottom), (place, at.bottom + 4)], colours::FAINT, 1)?;
            canvas.text(&self.x.of.label(*tick), place, at.bottom + 7, &faint(11), HPos::Center)?;
        }
        canvas.line(vec![(at.left, at.bottom), (at.right, at.bottom)], colours::FAINT, 1)?;
        canvas.text(&self.x.name, (at.left + at.right) / 2, at.bottom + 23, &faint(11), HPos::Center)?;
        panel.series.iter().try_for_each(|series| self.draw_series(canvas, panel, series, at, x, y))
    }

    fn draw_series(
        &self,
        canvas: &Canvas<'_>,
        panel: &Panel,
        series: &Series,
        at: Place,
        x: &Range,
        y: &Range,
    ) -> Drawn {
        let spot = |point: &Point| (at.x(x.place(point.x)), at.y(y.place(point.y)));
        let mut line: Vec<(i32, i32)> = Vec::new();
        for point in &series.points {
            let (px, py) = spot(point);
            if let Some(&(_, before)) = line.last().filter(|_| series.steps) {
                line.push((px, before));
            }
            line.push((px, py));
        }
        canvas.line(line, series.colour, 2)?;
        for point in series.points.iter().filter(|_| !series.steps) {
            let (px, py) = spot(point);
            if let Some((low, high)) = point.interval.filter(|(low, high)| high > low) {
                canvas.line(vec![(px, at.y(y.place(low))), (px, at.y(y.place(high)))], series.colour, 1)?;
            }
            canvas.disc(px, py, 3, series.colour)?;
            let interval = point.interval.map_or_else(String::new, |(low, high)| {
                format!(" ({} to {})", self.y.of.said(low), self.y.of.said(high))
            });
            let (x, y) = (self.x.of.said(point.x), self.y.of.said(point.y));
            let tip = format!("{}, {}, {} {x}: {y}{interval}", panel.title, series.name, self.x.name);
            canvas.tip(px - 6, py - 6, px + 6, py + 6, &tip);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_round_ends() {
        let range = Range::around([0.0, 37.0].into_iter(), false);
        assert_eq!((range.low, range.high, range.ticks.len()), (0.0, 40.0, 5));
        let range = Range::around([0.0003, 0.2].into_iter(), true);
        assert!((range.low - 1e-4).abs() < 1e-12 && (range.high - 1.0).abs() < 1e-9);
        assert_eq!(range.ticks.len(), 5);
        assert_eq!(Range::around([5.0].into_iter(), true).ticks.len(), 2);
        assert_eq!(Range::around(std::iter::empty(), true).place(0.5), 0.5);
    }

    #[test]
    fn ticks_are_where_it_was_measured() {
        assert_eq!(Range::at(vec![8.0, 1.0, 64.0, 8.0], true, 5).ticks, [1.0, 8.0, 64.0]);
        assert_eq!(Range::at((1..=20).map(f64::from).collect(), false, 5).ticks, [1.0, 5.0, 9.0, 13.0, 17.0]);
    }
}
