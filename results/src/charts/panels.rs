//! Lines in small panels with the same axes: one panel a case, one line a driver.

use plotters::style::text_anchor::HPos;

use super::{
    canvas::{Canvas, Chart, Drawn, Frame, MARGIN, TOP, WIDTH, binary, faint, fitting, font, short},
    colours,
    looks::Look,
    range::Range,
};
use crate::{Unit, table::quantity};

/// A chart, before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Panels {
    pub frame: Frame,
    pub x: Axis,
    pub y: Axis,
    pub panels: Vec<Panel>,
    /// Each panel has axes of its own; otherwise they can be held against each other.
    pub apart: bool,
    /// Something changed there: upright lines in every panel.
    pub marks: Vec<Mark>,
}

/// Where along the horizontal axis something changed, and what.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub x: f64,
    pub what: String,
    /// Written out, and not only told to who points at it.
    pub loud: bool,
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
    /// What its vertical axis shows, where that is not the same in all panels.
    pub of: Option<Of>,
    pub series: Vec<Series>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub look: Look,
    /// By `x`.
    pub points: Vec<Point>,
    /// From point to point in steps: a distribution, with marks at its median and its 99th percentile.
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
        let together = (!self.apart).then(|| self.ranges(&self.panels));
        self.panels.iter().zip(0..).try_for_each(|(panel, index)| {
            let (x, y) = together.clone().unwrap_or_else(|| self.ranges(std::slice::from_ref(panel)));
            self.draw_panel(canvas, panel, self.place(index), &x, &y)
        })
    }
}

impl Panels {
    /// The axes that these panels need.
    fn ranges(&self, panels: &[Panel]) -> (Range, Range) {
        let points = || panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
        let ys: Vec<f64> = points()
            .flat_map(|point| {
                let (low, high) = point.interval.unwrap_or((point.y, point.y));
                [point.y, low, high]
            })
            .collect();
        let y = match self.y.of {
            Of::Share => Range::whole(),
            _ => Range::around(ys.iter().copied(), self.y.log),
        };
        let steps = points().count() > 0 && panels.iter().flat_map(|panel| &panel.series).all(|series| series.steps);
        let xs: Vec<f64> = points().map(|point| point.x).collect();
        let x =
            if steps { Range::around(xs.iter().copied(), self.x.log) } else { Range::at(xs, self.x.log, self.ticks()) };
        (x, y)
    }

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
        let of = panel.of.unwrap_or(self.y.of);
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
            canvas.text(&of.label(*tick), at.left - 7, place - 7, &faint(11), HPos::Right)?;
        }
        for tick in &x.ticks {
            let place = at.x(x.place(*tick));
            canvas.line(vec![(place, at.bottom), (place, at.bottom + 4)], colours::FAINT, 1)?;
            canvas.text(&self.x.of.label(*tick), place, at.bottom + 7, &faint(11), HPos::Center)?;
        }
        canvas.line(vec![(at.left, at.bottom), (at.right, at.bottom)], colours::FAINT, 1)?;
        canvas.text(&self.x.name, (at.left + at.right) / 2, at.bottom + 23, &faint(11), HPos::Center)?;
        self.marks.iter().try_for_each(|mark| draw_mark(canvas, mark, at, x))?;
        let courses: Vec<_> = panel.series.iter().map(|series| course(series, at, x, y)).collect();
        panel.series.iter().enumerate().try_for_each(|(index, series)| {
            // What is about to be covered looks out on both sides.
            let covers = courses[index + 1..].iter().filter(|later| is_covered(&courses[index], later)).count() as u32;
            self.draw_series(canvas, panel, series, at, (x, y), covers)
        })
    }

    fn draw_series(
        &self,
        canvas: &Canvas<'_>,
        panel: &Panel,
        series: &Series,
        at: Place,
        (x, y): (&Range, &Range),
        covers: u32,
    ) -> Drawn {
        let spot = |point: &Point| (at.x(x.place(point.x)), at.y(y.place(point.y)));
        canvas.course(&course(series, at, x, y), series.look, 2 + 3 * covers)?;
        let of = panel.of.unwrap_or(self.y.of);
        for (share, name) in [(0.5, "half"), (0.99, "99 %")].into_iter().filter(|_| series.steps) {
            let Some(point) = series.points.iter().find(|point| point.y >= share) else { continue };
            let (px, py) = spot(point);
            canvas.mark(px, py, 4, series.look)?;
            let tip = format!("{}, {}: {name} within {}", panel.title, series.name, self.x.of.said(point.x));
            canvas.tip(px - 6, py - 6, px + 6, py + 6, &tip);
        }
        for point in series.points.iter().filter(|_| !series.steps) {
            let (px, py) = spot(point);
            if let Some((low, high)) = point.interval.filter(|(low, high)| high > low) {
                canvas.line(vec![(px, at.y(y.place(low))), (px, at.y(y.place(high)))], series.look.colour, 1)?;
            }
            canvas.mark(px, py, 3 + 2 * covers as i32, series.look)?;
            let interval = point
                .interval
                .map_or_else(String::new, |(low, high)| format!(" ({} to {})", of.said(low), of.said(high)));
            let (x, y) = (self.x.of.said(point.x), of.said(point.y));
            let tip = format!("{}, {}, {} {x}: {y}{interval}", panel.title, series.name, self.x.name);
            canvas.tip(px - 6, py - 6, px + 6, py + 6, &tip);
        }
        Ok(())
    }
}

/// The line of a series.
fn course(series: &Series, at: Place, x: &Range, y: &Range) -> Vec<(i32, i32)> {
    let mut line: Vec<(i32, i32)> = Vec::new();
    for point in &series.points {
        let (px, py) = (at.x(x.place(point.x)), at.y(y.place(point.y)));
        if let Some(&(_, before)) = line.last().filter(|_| series.steps) {
            line.push((px, before));
        }
        line.push((px, py));
    }
    line
}

/// Whether one line cannot be seen below another.
fn is_covered(line: &[(i32, i32)], later: &[(i32, i32)]) -> bool {
    let is_near = |((px, py), (qx, qy)): (&(i32, i32), &(i32, i32))| (px - qx).abs() <= 1 && (py - qy).abs() <= 1;
    line.len() == later.len() && line.iter().zip(later).all(is_near)
}

fn draw_mark(canvas: &Canvas<'_>, mark: &Mark, at: Place, x: &Range) -> Drawn {
    let place = at.x(x.place(mark.x));
    let colour = if mark.loud { colours::ALARM } else { colours::FAINT };
    canvas.line(vec![(place, at.top), (place, at.bottom)], colour, 1)?;
    canvas.tip(place - 4, at.top, place + 4, at.top + 40, &mark.what);
    if !mark.loud {
        return Ok(());
    }
    // On the side that has more room.
    let (room, x, side) = if 2 * place > at.left + at.right {
        (place - at.left - 6, place - 5, HPos::Right)
    } else {
        (at.right - place - 6, place + 5, HPos::Left)
    };
    canvas.text(&fitting(&mark.what, room, 11), x, at.top, &faint(11), side)
}

#[cfg(test)]
mod tests {
    use super::is_covered;

    #[test]
    fn a_line_is_covered_by_one_in_its_place_alone() {
        let line = [(0, 5), (10, 50)];
        assert!(is_covered(&line, &[(0, 5), (10, 51)]));
        assert!(!is_covered(&line, &[(0, 5), (10, 60)]));
        assert!(!is_covered(&line, &[(0, 5)]));
    }
}
