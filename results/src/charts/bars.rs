//! Horizontal bars in groups: one group a row of the table behind it, one bar a driver.

use plotters::style::text_anchor::HPos;

use super::{
    canvas::{Canvas, Chart, Drawn, Frame, MARGIN, TOP, WIDTH, faint, fitting, font, short, width},
    colours,
    looks::Look,
    scale::Scale,
};
use crate::{Unit, table::quantity};

/// A chart, before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    pub frame: Frame,
    pub unit: Unit,
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub label: String,
    pub bars: Vec<Bar>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub driver: String,
    /// One after the other; one for a plain bar.
    pub parts: Vec<(f64, Look)>,
    pub interval: Option<(f64, f64)>,
    /// The single measurements.
    pub points: Vec<f64>,
}

impl Bar {
    /// For a person who points at it.
    fn said(&self, unit: Unit) -> String {
        let total = quantity(self.total(), unit);
        match self.interval {
            Some((low, high)) => format!("{total} ({} to {})", quantity(low, unit), quantity(high, unit)),
            None => total,
        }
    }

    fn total(&self) -> f64 {
        self.parts.iter().map(|(value, _)| value).sum()
    }
}

const LEFT: i32 = 400;
const RIGHT: i32 = 130;
const BAR: i32 = 17;
const BETWEEN_BARS: i32 = 3;
const BETWEEN_GROUPS: i32 = 13;
const AXIS: i32 = 44;

impl Chart for Bars {
    fn title(&self) -> &str {
        &self.frame.title
    }

    fn height(&self) -> i32 {
        TOP + self.rows_height() + AXIS + self.frame.caption_height()
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let scale = self.scale();
        self.frame.draw(canvas, TOP + self.rows_height() + AXIS)?;
        self.draw_axis(canvas, &scale)?;
        self.draw_rows(canvas, &scale)
    }
}

impl Bars {
    fn rows_height(&self) -> i32 {
        let group = |group: &Group| group.bars.len() as i32 * (BAR + BETWEEN_BARS) + BETWEEN_GROUPS;
        self.groups.iter().map(group).sum()
    }

    fn scale(&self) -> Scale {
        let bars = || self.groups.iter().flat_map(|group| &group.bars);
        let stacked = bars().any(|bar| bar.parts.len() > 1);
        let values: Vec<f64> = bars()
            .flat_map(|bar| {
                let ends = bar.interval.map_or([0.0; 2], |(low, high)| [low, high]);
                bar.points.iter().copied().chain([bar.total()]).chain(ends).collect::<Vec<_>>()
            })
            .collect();
        Scale::new(values.iter().copied(), stacked)
    }

    fn draw_axis(&self, canvas: &Canvas<'_>, scale: &Scale) -> Drawn {
        let bottom = TOP + self.rows_height();
        for tick in scale.ticks() {
            let x = place(scale, tick);
            canvas.line(vec![(x, TOP - 6), (x, bottom)], colours::GRID, 1)?;
            let label = if tick == 0.0 { "0".to_owned() } else { short(tick, self.unit) };
            canvas.text(&label, x, bottom + 6, &faint(12), HPos::Center)?;
        }
        let note = if scale.is_log() { "logarithmic axis" } else { "" };
        canvas.text(note, WIDTH - MARGIN, bottom + 6, &faint(12), HPos::Right)
    }

    fn draw_rows(&self, canvas: &Canvas<'_>, scale: &Scale) -> Drawn {
        let several = self.groups.iter().any(|group| group.bars.len() > 1);
        let mut y = TOP;
        for group in &self.groups {
            // The first driver's name stands on the same line.
            let beside = group.bars.first().filter(|_| several).map_or(0, |bar| width(&bar.driver, 12).max(82));
            let room = LEFT - MARGIN - 14 - beside;
            canvas.text(&fitting(&group.label, room, 13), MARGIN, y + 1, &font(13, false), HPos::Left)?;
            for bar in &group.bars {
                if several {
                    canvas.text(&bar.driver, LEFT - 8, y + 1, &faint(12), HPos::Right)?;
                }
                self.draw_bar(canvas, scale, bar, y)?;
                let tip = format!("{}, {}: {}", group.label, bar.driver, bar.said(self.unit));
                canvas.tip(LEFT, y, WIDTH - RIGHT, y + BAR, &tip);
                y += BAR + BETWEEN_BARS;
            }
            y += BETWEEN_GROUPS;
        }
        canvas.line(vec![(LEFT, TOP - 6), (LEFT, TOP + self.rows_height())], colours::FAINT, 1)
    }

    fn draw_bar(&self, canvas: &Canvas<'_>, scale: &Scale, bar: &Bar, y: i32) -> Drawn {
        let mut sum = 0.0;
        for (value, look) in &bar.parts {
            let (from, to) = (place(scale, sum), place(scale, sum + value));
            sum += value;
            if to > from {
                canvas.bar(from.max(LEFT), y, to, y + BAR, *look)?;
            }
        }
        let middle = y + BAR / 2;
        let outliers = crate::outliers(&bar.points);
        for point in &bar.points {
            let hollow = outliers.contains(point);
            canvas.spot(place(scale, *point), middle, if hollow { 4 } else { 2 }, hollow)?;
        }
        let mut end = place(scale, sum);
        if let Some((low, high)) = bar.interval.filter(|(low, high)| high > low) {
            let (low, high) = (place(scale, low), place(scale, high));
            canvas.line(vec![(low, middle), (high, middle)], colours::TEXT, 2)?;
            for x in [low, high] {
                canvas.line(vec![(x, middle - 4), (x, middle + 4)], colours::TEXT, 2)?;
            }
            end = end.max(high);
        }
        let furthest = bar.points.iter().map(|point| place(scale, *point) + 3).max();
        let end = end.max(furthest.unwrap_or(0));
        let value = if sum == 0.0 { "0".to_owned() } else { quantity(sum, self.unit) };
        canvas.text(&value, end.max(LEFT) + 7, y + 1, &font(12, false), HPos::Left)
    }
}

fn place(scale: &Scale, value: f64) -> i32 {
    LEFT + (scale.at(value) * f64::from(WIDTH - LEFT - RIGHT)).round() as i32
}
